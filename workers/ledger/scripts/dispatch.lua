-- dispatch: accepted -> dispatched, unhandled, unreadable or dead; or parked until a key is known.
-- ARGV after keep (ms): lease (ms), delay (ms, for parked), and a packed list of `Decision` (transitions.py).
-- A run that begins at once is claimed as it is made; one with a delay waits; the others are queued. Runs of a lane are
-- looked at last: by then all events of the list are dispatched.
-- Answers a list an event: what became of it, then the runs that are ours now. Their token is 1.
local ends, due, moment = whole(now + tonumber(ARGV[5])), whole(now + tonumber(ARGV[6])), whole(now)

local write = function(key, ...)  -- whatever stands there is none of ours: the event did not know the run
  if type(redis.pcall('HSET', key, ...)) == 'table' then
    redis.call('UNLINK', key)
    redis.call('HSET', key, ...)
  end
end

local paused = fields_of('pauses')
local left, of_lanes, unsettled = {}, {}, {}  -- events that are undispatched no more; runs of lanes; events to settle
local begin = function(run, ours)
  add('running', ends, run)
  ours[#ours + 1] = run
end

-- Runs of lanes are made once all events of the list are known to be dispatched, in the order of acceptance.
local make_run_of_lane = function(one, order)
  local run, lane, wanted = one.run, one.wanted.lane, one.wanted
  local key, begins = unit_key(run), one.begins and order < find_watermark()
  if begins and redis.call('EXISTS', Z .. 'lane:' .. lane) == 0 then
    join_lane(run, lane, 0)
    write(key, 'handler', wanted.handler, 'state', 'running', 'attempts', '1', 'token', '1', 'lane', lane, 'flow', '1',
      unpack(STAMP))
    begin(run, one.ours)
  else
    join_lane(run, lane, order)
    write(key, 'handler', wanted.handler, 'state', 'waiting', 'lane', lane, 'flow', '1', unpack(STAMP))
    if wanted.delay_ms then
      local first = whole(now + wanted.delay_ms)
      redis.call('HSET', key, 'next_at', first)
      add('waiting', first, run)
    elseif not is_its_turn(run, lane, order) then
      block(run)
    elseif begins then
      redis.call('HSET', key, 'state', 'running', 'attempts', '1', 'token', '1')
      begin_in_lane(run, lane)
      begin(run, one.ours)
    else
      enqueue(run, 'queued')
    end
  end
  if wanted.holds then redis.call('HSET', key, 'holds', 1) end
  if wanted.hook then redis.call('HSET', key, 'hook', wanted.hook) end
end
local sort_runs_of_lanes = function()  -- by the order in which their events were accepted
  if #of_lanes == 0 then return end
  local ids, last = {}, last_ordinal()
  for i, one in ipairs(of_lanes) do ids[i] = one.id end
  local orders = redis.call('ZMSCORE', Z .. 'undispatched', unpack(ids))
  for i, one in ipairs(of_lanes) do one.order = tonumber(orders[i] or '') or last end
  table.sort(of_lanes, function(one, other) return one.order < other.order end)
end
local make_runs = function(id, runs, wanted)
  local ours = {'dispatched'}
  for _, one in ipairs(wanted) do
    local run = id .. '-' .. one.suffix
    if not string.find(runs, one.suffix, 1, true) then
      runs = runs == '' and one.suffix or (runs .. ',' .. one.suffix)
      local begins = one.begins and not paused[one.handler]
      if one.lane then
        of_lanes[#of_lanes + 1] = {id = id, run = run, wanted = one, begins = begins, ours = ours}
      elseif begins then
        write(unit_key(run), 'handler', one.handler, 'state', 'running', 'attempts', '1', 'token', '1', unpack(STAMP))
        begin(run, ours)
      elseif one.delay_ms then
        local first = whole(now + one.delay_ms)
        write(unit_key(run), 'handler', one.handler, 'state', 'waiting', 'next_at', first, unpack(STAMP))
        add('waiting', first, run)
      else
        write(unit_key(run), 'handler', one.handler, unpack(STAMP))
        enqueue(run, 'queued')
      end
      if one.hook and not one.lane then redis.call('HSET', unit_key(run), 'hook', one.hook, 'flow', '1') end
    end
  end
  return runs, ours
end

local decide = function(one)
  local id, verdict = one.unit, one.verdict
  local key = event_key(id)
  local event = pick(key, 'token', 'state', 'runs', 'cause', 'sealed_error')
  if event.token ~= whole(one.token) or event.state ~= 'accepted' then
    count('overlaps')
    return {'lost'}
  end
  left[#left + 1] = id
  if verdict == 'parked' then
    drop('dispatching', id)
    redis.call('HSET', key, 'cause', one.cause)
    add('parked', due, id)
    return {'parked'}
  end
  if one.digests ~= '' then
    redis.call('HSET', key, 'digests', one.digests)
    for digest in string.gmatch(one.digests, '%x+') do add('blind_index', 0, digest .. ':' .. id) end
  end
  if verdict ~= 'dispatched' then
    finish_event(id, 'accepted', verdict, one.cause)
    return {verdict}
  end
  local before = event.runs or ''
  local runs, ours = make_runs(id, before, one.runs)
  drop('dispatching', id)
  redis.call('HSET', key, 'runs', runs, 'state', 'dispatched')
  if event.cause or event.sealed_error then redis.call('HDEL', key, 'cause', 'sealed_error') end
  add('open', moment, id)
  if before ~= '' then unsettled[#unsettled + 1] = id end  -- runs of before may all have ended
  return ours
end

local answers = {}
for _, one in ipairs(cmsgpack.unpack(ARGV[7])) do answers[#answers + 1] = decide(one) end
sort_runs_of_lanes()
if #left > 0 then redis.call('ZREM', Z .. 'undispatched', unpack(left)) end
for _, one in ipairs(of_lanes) do make_run_of_lane(one, one.order) end
open_gate()
for _, id in ipairs(unsettled) do settle(id) end
flush()
return answers
