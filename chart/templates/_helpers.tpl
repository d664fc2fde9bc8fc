{{- define "data-manager.name" -}}
{{ .Values.fullnameOverride | default .Chart.Name }}
{{- end }}

{{- define "data-manager.version" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "data-manager.image" -}}
{{ .Values.image.repository }}:{{ include "data-manager.version" . }}
{{- end }}

{{- define "data-manager.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ include "data-manager.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* Of what belongs to the running service. Pods of jobs and tests never have them: the Service would select those. */}}
{{- define "data-manager.serviceLabels" -}}
{{- $own := dict "component" "data-intelligence" "version" (include "data-manager.version" .) }}
{{- merge (deepCopy .Values.selectorLabels) $own (include "data-manager.labels" . | fromYaml) | toYaml }}
{{- end }}

{{- /* The same with labels of the user's, given as the second of a list. */}}
{{- define "data-manager.labelsWith" -}}
{{- merge (deepCopy (index . 0).Values.selectorLabels) (index . 1) (include "data-manager.serviceLabels" (index . 0) | fromYaml) | toYaml }}
{{- end }}

{{- /* "true" where all data lies on servers, so that replicas share it. */}}
{{- define "data-manager.shared" -}}
{{- if and (not .Values.demo.enabled) (eq .Values.stores.market "mongodb") (eq .Values.stores.catalog "mysql") }}true{{ end }}
{{- end }}

{{- define "data-manager.autoscaled" -}}
{{- if and (include "data-manager.shared" .) .Values.autoscaling.enabled }}true{{ end }}
{{- end }}

{{- /* The most replicas that there can be. */}}
{{- define "data-manager.maxReplicas" -}}
{{- if not (include "data-manager.shared" .) }}1
{{- else }}{{ ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled }}
{{- end }}
{{- end }}

{{- define "data-manager.claim" -}}
{{ .Values.persistence.existingClaim | default (printf "%s-data" (include "data-manager.name" .)) }}
{{- end }}

{{- /* The settings of `config`, and those that the pod's own form decides. */}}
{{- define "data-manager.config" -}}
{{- range $name, $value := .Values.config }}
{{ $name }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }} {{- /* 2e+09 is no integer */}}
{{- end }}
API_PORT: {{ .Values.ports.http | quote }}
DATA_DIR: /data
METRICS_PORT: {{ .Values.ports.metrics | quote }}
{{- if .Values.demo.enabled }}
EXCHANGE_ENABLED: "true"
NATS_URL: embedded
{{- else if .Values.nats.url }}
NATS_URL: {{ .Values.nats.url | quote }}
{{- end }}
{{- end }}

{{- define "data-manager.envFrom" -}}
{{- if and .Values.commonConfig (not .Values.demo.enabled) }}
- configMapRef: { name: {{ .Values.commonConfig }} }
{{- end }}
- configMapRef: { name: {{ include "data-manager.name" . }}-config }
{{- end }}

{{- /* Where the same name stands twice, the container has the later value. */}}
{{- define "data-manager.env" -}}
{{- if or .Values.demo.enabled (not .Values.secret.env.NATS_URL) }}
{{- $own := or .Values.demo.enabled .Values.nats.url }}
- name: NATS_URL # named, so that a pod without one does not start
  valueFrom:
    configMapKeyRef: { name: {{ ternary (printf "%s-config" (include "data-manager.name" .)) .Values.commonConfig (not (empty $own)) }}, key: NATS_URL }
{{- end }}
{{- if include "data-manager.shared" . }}
- { name: REQUIRE_SHARED_STORES, value: "true" }
{{- end }}
{{- if and (eq .Values.stores.market "mongodb") (not .Values.demo.enabled) }}
{{ include "data-manager.secretEnv" (list "MONGODB_URL" .Values.secret.existingSecret .Values.secret.mongodbKey) }}
{{- end }}
{{- if and (eq .Values.stores.catalog "mysql") (not .Values.demo.enabled) }}
{{ include "data-manager.secretEnv" (list "MYSQL_URI" .Values.secret.existingSecret .Values.secret.mysqlKey) }}
{{- end }}
{{- range $name, $key := .Values.secret.env }}
{{- if not (and $.Values.demo.enabled (eq $name "NATS_URL")) }}
{{ include "data-manager.secretEnv" (list $name $.Values.secret.existingSecret $key) }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "data-manager.secretEnv" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef: { name: {{ index . 1 }}, key: {{ index . 2 }} }
{{- end }}

{{- define "data-manager.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "data-manager.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* What pods of every kind have in common. Without service links: a Service called `mysql` would set MYSQL_PORT. */}}
{{- define "data-manager.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "data-manager.podSecurity" . | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
