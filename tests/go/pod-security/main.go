// Pod Security, as Kubernetes itself decides it: a JSON list of pod templates on stdin; on stdout, for each, the list of
// what the restricted level (newest version) forbids in it.
package main

import (
	"encoding/json"
	"log"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func main() {
	var templates []corev1.PodTemplateSpec
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&templates); err != nil {
		log.Fatal(err)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		log.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	forbidden := make([][]string, len(templates))
	for i := range templates {
		forbidden[i] = []string{}
		for _, result := range evaluator.EvaluatePod(restricted, &templates[i].ObjectMeta, &templates[i].Spec) {
			if !result.Allowed {
				forbidden[i] = append(forbidden[i], result.ForbiddenReason+": "+result.ForbiddenDetail)
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(forbidden); err != nil {
		log.Fatal(err)
	}
}
