-- Deletes an event with all that belongs to it; what reads its record comes first.
local delete_event = function(id)
  local key = event_key(id)
  local event = pick(key, 'runs', 'digests', 'key')
  for suffix in string.gmatch(event.runs or '', '%x+') do
    local run = id .. '-' .. suffix
    redis.call('UNLINK', Z .. 'run:' .. run, Z .. 'calls:' .. run)
    forget(run)
  end
  for digest in string.gmatch(event.digests or '', '%x+') do drop('blind_index', digest .. ':' .. id) end
  if event.key then count('sealed:' .. event.key, -1) end
  drop_final(id)
  for _, name in ipairs({'events', 'open', 'dead', 'wanted'}) do drop(name, id) end
  forget(id)
  redis.call('UNLINK', key, Z .. 'body:' .. id)
end
local list_finals = function()  -- the indexes of finished events
  local names = {'final'}
  for source in pairs(list_kept_apart()) do names[#names + 1] = 'final:' .. source end
  return names
end
local delete_finished = function(upto, most)  -- of each index so many, oldest first; answers how many in all
  local deleted = 0
  for _, name in ipairs(list_finals()) do
    for _, id in ipairs(redis.call('ZRANGE', Z .. name, '-inf', upto, 'BYSCORE', 'LIMIT', 0, most)) do
      delete_event(id)
      deleted = deleted + 1
    end
  end
  return deleted
end

-- Drops the bodies of finished events up to a time, oldest first; it goes on where it ended. Answers how many it dropped,
-- and whether there may be more.
local drop_bodies = function(name, upto, most)
  local from = get(Z .. 'shed_until', name) or '-inf'
  local found = redis.call('ZRANGE', Z .. name, from, upto, 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
  local dropped = 0
  for i = 1, #found, 2 do dropped = dropped + redis.call('UNLINK', Z .. 'body:' .. found[i]) end
  local ended = #found < 2 * most
  if #found > 0 then  -- others may have finished in the same millisecond as the last one
    redis.call('HSET', Z .. 'shed_until', name, ((dropped == 0 or ended) and '(' or '') .. found[#found])
  end
  return dropped, not ended
end
