-- purge: deletes finished events on a person's order, oldest first. ARGV after keep (ms): how many, how long ago they must
-- have finished (ms), 1 for --dry-run. Answers how many; in a dry run of all.
local most, upto, dry = tonumber(ARGV[5]), whole(now - tonumber(ARGV[6])), ARGV[7] == '1'
if not dry then
  local purged = delete_finished(upto, most)
  flush()
  return purged
end
local found = 0
for _, name in ipairs(list_finals()) do found = found + redis.call('ZCOUNT', Z .. name, '-inf', upto) end
return found
