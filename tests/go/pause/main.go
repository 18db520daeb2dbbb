// The first process of a pod: it holds the pod's namespaces, takes in the orphans of the pod's other processes when they
// die, and ends when it is told to.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	died := make(chan os.Signal, 1) // one is enough: every dead child is taken in after it
	signal.Notify(died, syscall.SIGCHLD)
	for {
		for reaped := 1; reaped > 0; { // before the first signal too: it may have come too early to be heard
			reaped, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
		select {
		case <-told:
			return
		case <-died:
		}
	}
}
