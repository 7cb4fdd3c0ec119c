-- purge: deletes finished events on a person's order, oldest first. ARGV after keep (ms): how many, how long ago they must
-- have finished (ms), 1 for --dry-run. Answers how many; in a dry run of all.
local most, upto, dry = tonumber(ARGV[5]), whole(now - tonumber(ARGV[6])), ARGV[7] == '1'
local purged = 0
for _, name in ipairs(list_finals()) do
  if dry then
    purged = purged + redis.call('ZCOUNT', Z .. name, '-inf', upto)
  else
    for _, id in ipairs(redis.call('ZRANGE', Z .. name, '-inf', upto, 'BYSCORE', 'LIMIT', 0, most)) do
      delete_event(id)
      purged = purged + 1
    end
  end
end
flush()
return purged
