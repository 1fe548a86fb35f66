# A chaos campaign in CI. TARGET, SEEDS, WORLD, TIME_LIMIT, OPTIONS and OUT say which; each has a default.
# Only runs that are not valid stay in OUT. Exits as raft-chaos does: 0 valid, 1 violated, 2 unknown, 254, 255;
# and with 0 if the time limit ended a campaign that had found nothing.
words=(--seeds "${SEEDS:-1..20}" --world "${WORLD:-live}" --out "${OUT:=runs}")
[ -z "${TARGET:-}" ] || words+=(--target "$TARGET")
read -r -a more <<<"${OPTIONS:-}"
code=0
timeout --signal=INT --kill-after=2m --preserve-status "${TIME_LIMIT:=20m}" \
    raft-chaos run "${words[@]}" ${more[@]+"${more[@]}"} || code=$?
for info in "$OUT"/*/run.json; do
    if grep -qx '  "verdict": "valid",' "$info" 2>/dev/null; then rm -rf -- "${info%/run.json}"; fi
done
if [ "$code" = 130 ]; then
    echo "The time limit of $TIME_LIMIT ended the campaign. Nothing was found until then."
    code=0
fi
exit "$code"
