-- Deletes an event with all that belongs to it; what reads its record comes first.
local delete_event = function(id)
  local key = event_key(id)
  local event = pick(key, 'runs', 'find', 'key')
  for suffix in string.gmatch(event.runs or '', '%x+') do
    local run = id .. '-' .. suffix
    redis.call('UNLINK', Z .. 'run:' .. run, Z .. 'calls:' .. run)
    forget(run)
  end
  for digest in string.gmatch(event.find or '', '%x+') do drop('find', digest .. ':' .. id) end
  if event.key then count('sealed:' .. event.key, -1) end
  drop_final(id)
  for _, name in ipairs({'events', 'open', 'dead', 'wanted'}) do drop(name, id) end
  forget(id)
  redis.call('UNLINK', key, Z .. 'body:' .. id)
end
local list_finals = function()  -- the indexes of finished events
  local names = {'final'}
  for _, source in ipairs(redis.call('HKEYS', Z .. 'keeps')) do names[#names + 1] = 'final:' .. source end
  return names
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
