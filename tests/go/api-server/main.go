// Command api-server judges what an API server would: the CRDs that Crossplane derives from an XRD, or a CRD as it is, and
// objects of them. It reads {"definition": {...}, "objects": [{...}]} and writes {"definition": [faults], "objects": [[faults]]}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/crossplane/crossplane-runtime/v2/pkg/xcrd"
	xpv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

type question struct {
	Definition json.RawMessage   `json:"definition"`
	Objects    []json.RawMessage `json:"objects"`
}

type answer struct {
	Definition []string            `json:"definition"`
	Objects    [][]string          `json:"objects"`
	Columns    map[string][]string `json:"columns"`
}

// A kind is everything that the API server keeps of one served CRD.
type kind struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	crds, err := derive(asked.Definition)
	if err != nil {
		return err
	}
	out := answer{Definition: []string{}, Objects: [][]string{}, Columns: map[string][]string{}}
	kinds := map[string]kind{}
	for _, crd := range crds {
		for _, column := range crd.Spec.Versions[0].AdditionalPrinterColumns {
			out.Columns[crd.Spec.Names.Kind] = append(out.Columns[crd.Spec.Names.Kind], column.Name)
		}
		served, faults, err := serve(crd)
		if err != nil {
			return err
		}
		out.Definition = append(out.Definition, faults...)
		kinds[crd.Spec.Names.Kind] = served
	}
	if len(out.Definition) == 0 {
		for _, text := range asked.Objects {
			object := map[string]any{}
			if err := utiljson.Unmarshal(text, &object); err != nil { // integers stay integers, which the rules need
				return err
			}
			out.Objects = append(out.Objects, kinds[fmt.Sprint(object["kind"])].judge(object))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// derive makes CRDs of an XRD as Crossplane does, or takes a CRD as it is.
func derive(definition json.RawMessage) ([]*extv1.CustomResourceDefinition, error) {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(definition, &head); err != nil {
		return nil, err
	}
	if head.Kind == "CustomResourceDefinition" {
		crd := &extv1.CustomResourceDefinition{}
		return []*extv1.CustomResourceDefinition{crd}, json.Unmarshal(definition, crd)
	}
	xrd := &xpv1.CompositeResourceDefinition{}
	if err := json.Unmarshal(definition, xrd); err != nil {
		return nil, err
	}
	xrd.SetUID("an API server gives one") // the CRDs refer to their owner by it
	composite, err := xcrd.ForCompositeResource(xrd)
	if err != nil || xrd.Spec.ClaimNames == nil {
		return []*extv1.CustomResourceDefinition{composite}, err
	}
	claim, err := xcrd.ForCompositeResourceClaim(xrd)
	return []*extv1.CustomResourceDefinition{composite, claim}, err
}

// serve validates a CRD as the API server does when it is created, the cost of its rules included.
func serve(crd *extv1.CustomResourceDefinition) (kind, []string, error) {
	extv1.SetDefaults_CustomResourceDefinition(crd)
	extv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := extv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, internal, nil); err != nil {
		return kind{}, nil, err
	}
	internal.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
	faults := texts(crdvalidation.ValidateCustomResourceDefinition(context.Background(), internal))
	openapi := internal.Spec.Validation
	if openapi == nil {
		openapi = internal.Spec.Versions[0].Schema
	}
	structural, err := schema.NewStructural(openapi.OpenAPIV3Schema)
	if err != nil {
		return kind{}, faults, err
	}
	validator, _, err := validation.NewSchemaValidator(openapi.OpenAPIV3Schema)
	return kind{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, faults, err
}

// judge says what the API server says to an object: unknown fields (which kubectl refuses), then the schema, then the rules.
func (k kind) judge(object map[string]any) []string {
	opts := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	faults := []string{}
	for _, path := range pruning.PruneWithOptions(object, k.structural, true, opts) {
		faults = append(faults, path+": unknown field")
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, k.structural)
	defaulting.Default(object, k.structural)
	found := validation.ValidateCustomResource(nil, object, k.validator)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, k.structural, object)...)
	if len(found) == 0 {
		rules, _ := k.rules.Validate(context.Background(), nil, k.structural, object, nil, celconfig.RuntimeCELCostBudget)
		found = append(found, rules...)
	}
	return append(faults, texts(found)...)
}

func texts(found field.ErrorList) []string {
	said := []string{}
	for _, fault := range found {
		said = append(said, fault.Error())
	}
	return said
}
