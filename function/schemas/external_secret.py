"""Generated from github.com/external-secrets/external-secrets v1.3.2 by `python -m tools.generate`: do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Required, TypedDict

from function.schemas.core import ObjectMeta


class ConfigMap(TypedDict, total=False):
    items: Required[list[Item]]
    name: Required[str]


class Data(TypedDict, total=False):
    remoteRef: Required[RemoteRef]
    secretKey: Required[str]
    sourceRef: SourceRef


class DataFrom(TypedDict, total=False):
    extract: Extract
    find: Find
    rewrite: list[Rewrite]
    sourceRef: SourceRef


class ExternalSecret(TypedDict, total=False):
    apiVersion: Required[Literal["external-secrets.io/v1"]]
    kind: Required[Literal["ExternalSecret"]]
    metadata: Required[ObjectMeta]
    spec: Required[ExternalSecretSpec]


class ExternalSecretSpec(TypedDict, total=False):
    data: list[Data]
    dataFrom: list[DataFrom]
    refreshInterval: str
    refreshPolicy: Literal["CreatedOnce", "Periodic", "OnChange"]
    secretStoreRef: SecretStoreRef
    target: Target


class Extract(TypedDict, total=False):
    conversionStrategy: Literal["Default", "Unicode"]
    decodingStrategy: Literal["Auto", "Base64", "Base64URL", "None"]
    key: Required[str]
    metadataPolicy: Literal["None", "Fetch"]
    property: str
    version: str


class Find(TypedDict, total=False):
    conversionStrategy: Literal["Default", "Unicode"]
    decodingStrategy: Literal["Auto", "Base64", "Base64URL", "None"]
    name: Name
    path: str
    tags: Mapping[str, str]


class GeneratorRef(TypedDict, total=False):
    apiVersion: str
    kind: Required[Literal["ACRAccessToken", "ClusterGenerator", "CloudsmithAccessToken", "ECRAuthorizationToken", "Fake", "GCRAccessToken", "GithubAccessToken", "QuayAccessToken", "Password", "SSHKey", "STSSessionToken", "UUID", "VaultDynamicSecret", "Webhook", "Grafana", "MFA"]]
    name: Required[str]


class Item(TypedDict, total=False):
    key: Required[str]
    templateAs: Literal["Values", "KeysAndValues"]


class Manifest(TypedDict, total=False):
    apiVersion: Required[str]
    kind: Required[str]


class Merge(TypedDict, total=False):
    conflictPolicy: Literal["Ignore", "Error"]
    into: str
    priority: list[str]
    priorityPolicy: Literal["IgnoreNotFound", "Strict"]
    strategy: Literal["Extract", "JSON"]


class Metadata(TypedDict, total=False):
    annotations: Mapping[str, str]
    finalizers: list[str]
    labels: Mapping[str, str]


class Name(TypedDict, total=False):
    regexp: str


class Regexp(TypedDict, total=False):
    source: Required[str]
    target: Required[str]


class RemoteRef(TypedDict, total=False):
    conversionStrategy: Literal["Default", "Unicode"]
    decodingStrategy: Literal["Auto", "Base64", "Base64URL", "None"]
    key: Required[str]
    metadataPolicy: Literal["None", "Fetch"]
    property: str
    version: str


class Rewrite(TypedDict, total=False):
    merge: Merge
    regexp: Regexp
    transform: Transform


class Secret(TypedDict, total=False):
    items: Required[list[Item]]
    name: Required[str]


class SecretStoreRef(TypedDict, total=False):
    kind: Literal["SecretStore", "ClusterSecretStore"]
    name: str


class SourceRef(TypedDict, total=False):
    generatorRef: GeneratorRef
    storeRef: StoreRef


class StoreRef(TypedDict, total=False):
    kind: Literal["SecretStore", "ClusterSecretStore"]
    name: str


class Target(TypedDict, total=False):
    creationPolicy: Literal["Owner", "Orphan", "Merge", "None"]
    deletionPolicy: Literal["Delete", "Merge", "Retain"]
    immutable: bool
    manifest: Manifest
    name: str
    template: Template


class Template(TypedDict, total=False):
    data: Mapping[str, str]
    engineVersion: Literal["v2"]
    mergePolicy: Literal["Replace", "Merge"]
    metadata: Metadata
    templateFrom: list[TemplateFrom]
    type: str


class TemplateFrom(TypedDict, total=False):
    configMap: ConfigMap
    literal: str
    secret: Secret
    target: str


class Transform(TypedDict, total=False):
    template: Required[str]
