// The Lua that Argo CD runs its health scripts with, in the version that Argo CD has.
module agent-executor/tests/lua

go 1.24

require github.com/yuin/gopher-lua v1.1.2
