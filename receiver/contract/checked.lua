-- Types first: a script that failed in its midst would leave half a change. The sweep moves aside what is not ours.
for name, wanted in pairs(TYPES) do
  local found = redis.call('TYPE', Z .. name).ok
  if found ~= 'none' and found ~= wanted then
    return redis.error_reply('WRONGTYPE ' .. Z .. name .. ' holds a ' .. found .. ', not a ' .. wanted)
  end
end
if redis.call('TYPE', LIST).ok ~= 'none' and redis.call('TYPE', LIST).ok ~= 'list' then
  return redis.error_reply('WRONGTYPE ' .. LIST .. ' is no list')
end
