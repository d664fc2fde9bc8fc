{{- define "data-manager.selector" -}}
app: data-manager
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "data-manager.labels" -}}
{{ include "data-manager.selector" . }}
component: data-intelligence
version: {{ include "data-manager.version" . | quote }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "data-manager.version" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "data-manager.claim" -}}
{{ .Values.persistence.existingClaim | default (printf "%s-data" .Chart.Name) }}
{{- end }}
