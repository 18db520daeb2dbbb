// The custom resource definitions that rendered objects are checked against. Nothing here is built: only the
// modules' files are read. Raise a version with `go mod edit -require=MODULE@VERSION`, then `go mod download MODULE@VERSION`.
module agent-executor/tests/crds

go 1.24

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/crossplane/crossplane/v2 v2.4.0
	github.com/external-secrets/external-secrets v1.3.2
	github.com/kedacore/keda/v2 v2.20.2
)
