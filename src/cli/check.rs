//! `switchboard check`: the configuration in force, and what the upstreams, and Redis, say to it.

use std::io;
use std::path::PathBuf;

use anyhow::anyhow;

use super::redis_check::redis_check;
use super::upstream_check::{CheckResult, upstream_check};
use super::{Failure, configuration, print};
use crate::app::{self, Networks};
use crate::config::{ApiKeys, Config};
use crate::http::caller::settings::AuthMode;
use crate::telemetry;

pub(super) async fn run(file: Option<PathBuf>) -> Result<(), Failure> {
    let config = configuration(file, Vec::new(), ApiKeys::Optional)?;
    telemetry::start(&config.log).map_err(anyhow::Error::from)?;
    match report(&config, &Networks::real(&config)?, &mut print).await? {
        0 => Ok(()),
        1 => Err(anyhow!("one of them cannot be used as it is configured").into()),
        wrong => Err(anyhow!("{wrong} of them cannot be used as they are configured").into()),
    }
}

/// Tells everything, and gives how much of it is wrong.
pub async fn report(
    config: &Config,
    networks: &Networks,
    print: &mut dyn FnMut(&str) -> io::Result<()>,
) -> anyhow::Result<usize> {
    print(&format!("{}\n", config.redacted()))?;
    for warning in config.warnings() {
        print(&format!("Warning: {warning}"))?;
    }
    let callers_bring_keys = config.auth.mode == AuthMode::Passthrough;
    let (mut wrong, probed) = (0_usize, app::probe(config, networks).await);
    let are_many = probed.len() > 1;
    for (tenant, upstreams) in probed {
        if are_many {
            print(&format!("Tenant {tenant}:"))?;
        }
        for (upstream, probed) in upstreams {
            let result = upstream_check(upstream, &probed, callers_bring_keys);
            wrong += usize::from(matches!(result, CheckResult::Wrong(_)));
            print(&result.line_of(upstream))?;
        }
    }
    if config.auth.mode == AuthMode::Jwt {
        match app::probe_issuer(config).await? {
            Ok(keys) => print(&format!("{:<9} ok     keys to check tokens with: {keys}", "Issuer"))?,
            Err(why) => {
                wrong += 1;
                print(&format!("{:<9} WRONG  its keys cannot be read: {why}", "Issuer"))?;
            }
        }
    }
    if let Some(probed) = app::probe_redis(config).await {
        let result = redis_check(&probed, config.redis.timeout());
        wrong += usize::from(matches!(result, CheckResult::Wrong(_)));
        print(&result.line("Redis"))?;
    }
    Ok(wrong)
}
