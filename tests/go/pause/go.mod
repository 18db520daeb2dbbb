// What a pod's sandbox runs, for the end-to-end tests on a machine that reaches no image registry.
module agent-executor/tests/pause

go 1.24
