"""What Redis does in one step, in Lua: so that of two gateways only one gets the last token."""

from __future__ import annotations

TAKE = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
local lefts, refused = {}, 0
for i = 1, #KEYS do
  local kind, most, amount = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local left = most
  if kind == 'streams' then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
    left = most - redis.call('ZCARD', KEYS[i])
  else
    local row = redis.call('HMGET', KEYS[i], 'left', 'at')
    if row[1] then
      left = math.min(most, tonumber(row[1]) + math.max(0, now - tonumber(row[2])) * most / 60)
    end
  end
  lefts[i] = left
  if refused == 0 and math.min(amount, most) - left > 1e-9 then refused = i end
end
local out = { tostring(refused) }
for i = 1, #KEYS do
  local kind, most, amount = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  if refused == 0 then
    lefts[i] = lefts[i] - amount
    if kind == 'streams' then
      redis.call('ZADD', KEYS[i], now + tonumber(ARGV[2]), ARGV[1])
      redis.call('EXPIRE', KEYS[i], 600)
    else
      redis.call('HSET', KEYS[i], 'left', string.format('%.17g', lefts[i]), 'at',
                 string.format('%.6f', now))
      redis.call('EXPIRE', KEYS[i], math.ceil(120 + math.max(0, -lefts[i]) * 60 / most))
    end
  end
  out[i + 1] = string.format('%.17g', lefts[i])
end
return out
"""
"""All charges or none.

KEYS: buckets. ARGV: the lease, its seconds, then kind, most and amount of each.
"""

GIVE_BACK = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
for i = 1, #KEYS do
  local kind, most, amount = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  if kind == 'streams' then
    redis.call('ZREM', KEYS[i], ARGV[1])
  else
    local row = redis.call('HMGET', KEYS[i], 'left', 'at')
    if row[1] then
      local left = tonumber(row[1]) + math.max(0, now - tonumber(row[2])) * most / 60 + amount
      redis.call('HSET', KEYS[i], 'left', string.format('%.17g', math.min(most, left)), 'at',
                 string.format('%.6f', now))
      redis.call('EXPIRE', KEYS[i], math.ceil(120 + math.max(0, -left) * 60 / most))
    end
  end
end
return 1
"""
"""KEYS: buckets. ARGV: as for TAKE."""

RESERVE = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  redis.call('HDEL', KEYS[3], id)
  redis.call('ZREM', KEYS[2], id)
end
local spent = redis.call('HMGET', KEYS[1], 'dollars', 'tokens')
local dollars, tokens = tonumber(spent[1] or '0'), tonumber(spent[2] or '0')
for _, held in ipairs(redis.call('HVALS', KEYS[3])) do
  local d, n = string.match(held, '(%S+) (%S+)')
  dollars, tokens = dollars + tonumber(d), tokens + tonumber(n)
end
if dollars + tonumber(ARGV[3]) > tonumber(ARGV[5]) + 1e-12
    or tokens + tonumber(ARGV[4]) > tonumber(ARGV[6]) then
  return 0
end
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[7])
redis.call('EXPIRE', KEYS[3], ARGV[7])
return 1
"""
"""Whether it fits.

KEYS: spent, leases, reserved. ARGV: name, its seconds, dollars, tokens, the most of both, and the
seconds that a month is kept.
"""

SETTLE = """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HINCRBYFLOAT', KEYS[1], 'dollars', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""
"""KEYS: spent, leases, reserved. ARGV: name, dollars, tokens, seconds that a month is kept."""

RENEW = """
local t = redis.call('TIME')
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], 'XX', tonumber(t[1]) + tonumber(ARGV[1]), ARGV[i + 1])
end
return 1
"""
"""KEYS: sets of leases. ARGV: seconds, then the lease in each."""
