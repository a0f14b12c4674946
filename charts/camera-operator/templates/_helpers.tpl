{{/* The chart's name, or what the user puts in its place. */}}
{{- define "camera-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Base name of all objects. 50 characters leave room for the longest suffix within a DNS label. */}}
{{- define "camera-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "camera-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Cluster-scoped objects carry the namespace in their names: two releases of the same name must not collide. */}}
{{- define "camera-operator.clusterName" -}}
{{- if eq .Release.Namespace (include "camera-operator.fullname" .) -}}
{{- include "camera-operator.fullname" . }}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "camera-operator.fullname" .) | trunc 200 }}
{{- end }}
{{- end }}

{{- define "camera-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "camera-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "camera-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "camera-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: camera-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Pods of workers, as the operator labels them. */}}
{{- define "camera-operator.workerSelectorLabels" -}}
app.kubernetes.io/name: camera-worker
app.kubernetes.io/managed-by: camera-operator
{{- end }}

{{- define "camera-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "camera-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "camera-operator.leaseName" -}}
{{- default (include "camera-operator.fullname" .) .Values.leaseName }}
{{- end }}

{{/* Reference of an image: (dict "image" VALUES "context" $). A digest wins over the tag. */}}
{{- define "camera-operator.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .context.Chart.AppVersion .image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator may do in the namespaces whose cameras it serves: exactly what it calls. */}}
{{- define "camera-operator.namespacedRules" -}}
- apiGroups: [camera-operator.io]
  resources: [cameras, cameragroups]
  verbs: [get, list, watch]
- apiGroups: [camera-operator.io]
  resources: [cameras/status, cameragroups/status]
  verbs: [patch]
# Workers' objects are owned by their group with blockOwnerDeletion, which the OwnerReferencesPermissionEnforcement
# admission plugin allows only with this right.
- apiGroups: [camera-operator.io]
  resources: [cameragroups/finalizers]
  verbs: [update]
# Credentials of cameras are read; the Secrets of workers are written.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch, create, patch, delete]
# patch: an annotation makes kubelet deliver a changed Secret at once; delete: a new image takes a new pod.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch, delete]
- apiGroups: [""]
  resources: [pods/resize]
  verbs: [patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
