//! `switchboard check`: the configuration in force, and what the upstreams say to it.

use std::path::PathBuf;

use anyhow::anyhow;

use super::verdict::{Verdict, verdict};
use super::{Failure, configuration, print};
use crate::app;
use crate::config::Keys;
use crate::http::settings::AuthMode;
use crate::telemetry;

pub(super) async fn run(file: Option<PathBuf>) -> Result<(), Failure> {
    let config = configuration(file, Vec::new(), Keys::Optional)?;
    telemetry::start(&config.log).map_err(anyhow::Error::from)?;
    print(&format!("{}\n", config.redacted()))?;
    let callers_bring_keys = config.auth.mode == AuthMode::Passthrough;
    let mut wrong = 0_usize;
    for (upstream, probed) in app::probe(&config).await? {
        let verdict = verdict(upstream, &probed, callers_bring_keys);
        wrong += usize::from(matches!(verdict, Verdict::Wrong(_)));
        print(&verdict.line(upstream))?;
    }
    match wrong {
        0 => Ok(()),
        1 => Err(anyhow!("one upstream cannot be used as it is configured").into()),
        _ => Err(anyhow!("neither upstream can be used as it is configured").into()),
    }
}
