-- reseal: replaces what one key sealed of an event by what another one did. ARGV after keep (ms): event id, old key, new
-- key, the event's new digests in `blind_index`, then four values a part: key, field ('' of a string), old, new.
-- Nothing changes where anything is not as it was read, or a run of the event is under way. Answers 1 if it is done.
local id, old_key, new_key, digests = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local key = event_key(id)
if get(key, 'key') ~= old_key then return 0 end
for suffix in string.gmatch(get(key, 'runs') or '', '%x+') do
  local run = pick(Z .. 'run:' .. id .. '-' .. suffix, 'state', 'unanswered')
  if run.state == 'running' or run.unanswered then return 0 end  -- what a person said names sealed calls
end
for i = 9, #ARGV, 4 do
  local name, field = ARGV[i], ARGV[i + 1]
  local present = nil
  if field == '' then present = redis.pcall('GET', name) else present = redis.pcall('HGET', name, field) end
  if present ~= ARGV[i + 2] then return 0 end
end
for i = 9, #ARGV, 4 do
  local name, field = ARGV[i], ARGV[i + 1]
  if field == '' then redis.call('SET', name, ARGV[i + 3]) else redis.call('HSET', name, field, ARGV[i + 3]) end
end
redis.call('HSET', key, 'key', new_key)
for digest in string.gmatch(get(key, 'digests') or '', '%x+') do drop('blind_index', digest .. ':' .. id) end
for digest in string.gmatch(digests, '%x+') do add('blind_index', 0, digest .. ':' .. id) end
if digests ~= '' then redis.call('HSET', key, 'digests', digests) end
count('sealed:' .. old_key, -1)
count('sealed:' .. new_key)
flush()
return 1
