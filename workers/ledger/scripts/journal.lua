-- journal: the changing calls of a run, sealed entries by their number. ARGV: what, run, and
-- begin: token, number, entry. Answers 1, or 0 if the run is not ours any more.
-- change: number, entry as it was, entry as it is to be. Answers 1, or 0 if somebody else changed it.
local what, run = ARGV[4], ARGV[5]
local key = Z .. 'calls:' .. run
if what == 'begin' then
  if get(unit_key(run), 'token') ~= ARGV[6] or get(unit_key(run), 'state') ~= 'running' then return 0 end
  redis.call('HSET', unit_key(run), 'calls', ARGV[7], unpack(STAMP))  -- how many there are, so that one that is gone is missed
  return redis.call('HSETNX', key, ARGV[7], ARGV[8])
end
if redis.call('HGET', key, ARGV[6]) ~= ARGV[7] then return 0 end
redis.call('HSET', key, ARGV[6], ARGV[8])
return 1
