//! `switchboard check`: prints one line for each upstream, the issuer and Redis, then warnings, then the configuration.

use std::io;
use std::path::PathBuf;

use anyhow::anyhow;

use super::arguments::configuration;
use super::output::{Failure, print};
use super::redis_check::redis_check;
use super::upstream_check::{CheckResult, upstream_check, write_check};
use crate::app::open_files::{ConnectionLimits, raise_limit};
use crate::app::probes::{TenantProbe, probe_issuer, probe_redis, probe_upstreams};
use crate::app::wiring::Networks;
use crate::config::{ApiKeys, Config};
use crate::http::caller::settings::AuthMode;
use crate::telemetry;

pub(super) async fn run(file: Option<PathBuf>, all: bool) -> Result<(), Failure> {
    let config = configuration(file, Vec::new(), ApiKeys::Optional)?;
    telemetry::start(&config.log)?;
    match report(&config, &Networks::real(&config)?, all, &mut print).await? {
        0 => Ok(()),
        1 => Err(anyhow!("1 of these checks failed: see the line marked WRONG").into()),
        wrong => Err(anyhow!("{wrong} of these checks failed: see the lines marked WRONG").into()),
    }
}

/// Returns the settings in force, as TOML.
fn settings(config: &Config, all: bool) -> String {
    match config.changed() {
        _ if all => format!("\n# All settings in force:\n{}", config.redacted()),
        "" => "\n# All settings have their defaults; --all prints them.".to_owned(),
        changed => format!("\n# Settings that differ from the defaults; --all prints all.\n{changed}"),
    }
}

/// Prints the lines of all checks, the warnings, and the settings (all of them, or those that differ from the
/// defaults). Returns the number of problems.
pub async fn report(
    config: &Config,
    networks: &Networks,
    all: bool,
    print: &mut dyn FnMut(&str) -> io::Result<()>,
) -> anyhow::Result<usize> {
    let connections = ConnectionLimits::new(config, raise_limit());
    print(&format!("{:<9} ok     {}", "Listener", connections.description()))?;
    let callers_bring_keys = config.auth.mode == AuthMode::Passthrough;
    let (mut problems, probed) = (0_usize, probe_upstreams(config, networks).await);
    let has_several_tenants = probed.len() > 1;
    for TenantProbe { tenant, upstreams, write } in probed {
        if has_several_tenants {
            print(&format!("Tenant {tenant}:"))?;
        }
        for (upstream, probed) in upstreams {
            let result = upstream_check(upstream, &probed, callers_bring_keys);
            problems += usize::from(matches!(result, CheckResult::Failed(_)));
            print(&result.line_of(upstream))?;
        }
        if let Some(result) = write.as_ref().map(write_check) {
            problems += usize::from(matches!(result, CheckResult::Failed(_)));
            print(&result.line("Actions"))?;
        }
    }
    if config.auth.mode == AuthMode::Jwt {
        match probe_issuer(config).await? {
            Ok(keys) => print(&format!("{:<9} ok     {keys} keys for token signatures", "Issuer"))?,
            Err(why) => {
                problems += 1;
                print(&format!("{:<9} WRONG  cannot read its keys: {why}", "Issuer"))?;
            }
        }
    }
    if let Some(probed) = probe_redis(config).await {
        let result = redis_check(&probed, config.redis.timeout());
        problems += usize::from(matches!(result, CheckResult::Failed(_)));
        print(&result.line("Redis"))?;
    }
    for warning in config.warnings().into_iter().chain(connections.warning()) {
        print(&format!("Warning: {warning}"))?;
    }
    print(&settings(config, all))?;
    Ok(problems)
}
