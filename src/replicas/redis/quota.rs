//! The exchange of a quota's state as one script. All its keys have the same hash tag, in the caller's key.

use redis::{Cmd, cmd};

use crate::replicas::quota::{CALLS_MAX, QuotaExchange, QuotaReply};

/// Keys: a hash with the value and the counts, and sorted sets with the time until which each entry counts: calls in
/// the minute, unconfirmed calls, replicas. Numbers are written with all digits: Lua rounds those above 10^14.
const EXCHANGE: &str = "
local state, minute, unconfirmed, replicas = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, expired, ttl, replica, replica_until, latest = unpack(ARGV, 1, 6)
local written, value = ARGV[7], ARGV[8]
local function get(field) return tonumber(redis.call('HGET', state, field) or 0) end
redis.call('ZREMRANGEBYSCORE', minute, '-inf', expired)
redis.call('ZREMRANGEBYSCORE', replicas, '-inf', expired)
local lost = get('lost') + redis.call('ZREMRANGEBYSCORE', unconfirmed, '-inf', expired)
local sent, version, accepted = get('sent'), get('version'), 0
local tick = math.max(get('tick') + 1, tonumber(now))
redis.call('ZADD', replicas, replica_until, replica)
for at = 9, #ARGV, 3 do
  local call, minute_until, unconfirmed_until = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if minute_until == '0' then
    sent = sent - redis.call('ZREM', minute, call)
  else
    sent = sent + redis.call('ZADD', minute, minute_until, call)
  end
  if unconfirmed_until == '0' then
    redis.call('ZREM', unconfirmed, call)
  else
    redis.call('ZADD', unconfirmed, unconfirmed_until, call)
  end
end
if written ~= '' and (version == 0 or version == tonumber(written)) then
  version, accepted = version + 1, 1
  redis.call('HSET', state, 'value', value)
end
local digits = function(number) return string.format('%.0f', number) end
redis.call('HSET', state, 'tick', digits(tick), 'version', digits(version), 'sent', digits(sent), 'lost', digits(lost))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
return {
  tick, version, accepted, redis.call('HGET', state, 'value') or '', sent, lost, redis.call('ZCARD', replicas),
  redis.call('ZRANGE', minute, -latest, -1, 'WITHSCORES'),
  redis.call('ZRANGE', unconfirmed, -latest, -1, 'WITHSCORES')
}
";

/// The names of the keys, without the caller's part.
const KEYS: [&str; 4] = ["state", "minute", "unconfirmed", "replicas"];

/// Returns the command of an exchange.
pub(super) fn command(exchange: &QuotaExchange) -> Cmd {
    let ttl = u64::try_from(exchange.ttl.as_millis()).unwrap_or(u64::MAX);
    let mut script = cmd("EVAL");
    script.arg(EXCHANGE).arg(KEYS.len());
    for key in KEYS {
        script.arg(format!("{}:{key}", exchange.key));
    }
    script.arg(exchange.now).arg(exchange.expired_before).arg(ttl);
    script.arg(&exchange.replica).arg(exchange.replica_until).arg(CALLS_MAX);
    match &exchange.write {
        Some(write) => script.arg(write.version).arg(&write.value),
        None => script.arg("").arg(""),
    };
    for call in &exchange.calls {
        script.arg(&call.id).arg(call.minute_until).arg(call.unconfirmed_until);
    }
    script
}

type Calls = Vec<(String, u64)>;

/// Reads the reply to [`command`].
pub(super) fn reply(
    (tick, version, is_accepted, value, sent, lost, replicas, minute, unconfirmed): (
        u64,
        u64,
        bool,
        Vec<u8>,
        u64,
        u64,
        u64,
        Calls,
        Calls,
    ),
) -> QuotaReply {
    QuotaReply { tick, version, is_accepted, value, sent, lost, replicas, minute, unconfirmed }
}
