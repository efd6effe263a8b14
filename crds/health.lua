-- The health of a WorkspaceRuntime for Argo CD: as kstatus tells it, and Suspended where its owner asked for what is.
-- Put it into ConfigMap argocd-cm under resource.customizations.health.runtime.molecule.ai_WorkspaceRuntime.
local status = obj.status or {}
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end
local ready = found.Ready
if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = "It is being deleted."}
end
if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "The operator has not looked at this generation yet."}
end
if found.Stalled ~= nil and found.Stalled.status == "True" then
  return {status = "Degraded", message = found.Stalled.message}
end
if found.Reconciling ~= nil and found.Reconciling.status == "True" then
  return {status = "Progressing", message = found.Reconciling.message}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
-- Not ready, nothing under way and nobody to call: a person suspended or held it, or a template may be left behind.
return {status = "Suspended", message = ready.message}
