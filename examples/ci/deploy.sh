#!/bin/sh
# deploy.sh IMAGE: migrate, then replace the pods one after the other. If the new pods do not become ready,
# the old image comes back, and the exit status is 1.
set -eu
image=$1

# The Job of the last release has the same name.
kubectl set image --local --filename kubernetes/migrate.yaml "migrate=$image" --output yaml |
    kubectl replace --force --filename -
# This ends with the Job, whether it succeeded or not.
kubectl logs --follow --pod-running-timeout 5m job/mysite-migrate
kubectl wait --for condition=complete --timeout 30s job/mysite-migrate

kubectl set image deployment/mysite "mysite=$image"
if ! kubectl rollout status --timeout 10m deployment/mysite; then
    kubectl rollout undo deployment/mysite
    kubectl rollout status --timeout 10m deployment/mysite
    exit 1
fi
