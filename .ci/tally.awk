# From the closing lines of several pytest runs ("=== 3 failed, 41 passed, 2 skipped in 1.20s ==="), one sum.
/^=+ .* in [0-9.]+s/ {
  for (i = 3; i <= NF; i++) {
    word = $i
    gsub(/[^a-z]/, "", word)
    sub(/^errors$/, "error", word)
    if ($(i - 1) ~ /^[0-9]+$/) count[word] += $(i - 1)
  }
}
END {
  printf "%d passed, %d failed, %d errors, %d skipped\n", count["passed"], count["failed"], count["error"], count["skipped"]
}
