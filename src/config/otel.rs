//! OpenTelemetry's standard variables, as values of `[traces]`.
//!
//! A variable applies to a setting that no other source sets. So a platform that sets these variables in every
//! container gets traces without configuration, and they never override an operator who configures `[traces]`. The SDK
//! itself reads `OTEL_EXPORTER_OTLP_COMPRESSION` and the rest of `OTEL_RESOURCE_ATTRIBUTES`.

use std::ffi::OsString;

use super::problem::ValueOrigin;
use super::sources::SettingValues;

/// Its value is the full URL; `traces.endpoint` is the URL without [`TRACES_PATH`].
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// The path of traces below the endpoint (OTLP/HTTP).
const TRACES_PATH: &str = "/v1/traces";

const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The variables of each setting. The first one with a value applies: a variable for traces alone precedes the one for
/// all signals.
const VARIABLES: [(&str, &[&str]); 4] = [
    ("traces.endpoint", &[TRACES_ENDPOINT, "OTEL_EXPORTER_OTLP_ENDPOINT"]),
    ("traces.headers", &["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]),
    ("traces.timeout_ms", &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]),
    ("traces.service_name", &["OTEL_SERVICE_NAME", RESOURCE_ATTRIBUTES]),
];

/// Applies the variables to the settings that have their defaults.
pub(super) fn apply(values: &mut SettingValues<'_>, environment: &[(OsString, OsString)]) {
    for (setting, variables) in VARIABLES {
        if values.get(setting).is_none_or(|(_, origin)| *origin != ValueOrigin::Default) {
            continue;
        }
        for variable in variables {
            let found = environment.iter().find(|(name, _)| name.to_str() == Some(*variable));
            let text = found.and_then(|(_, text)| text.to_str()).filter(|text| !text.is_empty());
            let Some(value) = text.and_then(|text| setting_value(variable, text)) else { continue };
            values.apply_text(setting, value.to_owned(), ValueOrigin::Variable((*variable).to_owned()));
            let lacks_path = text.is_some_and(|text| !text.ends_with(TRACES_PATH));
            if *variable == TRACES_ENDPOINT && lacks_path {
                values.add_problem(
                    setting,
                    "the path must end in /v1/traces; set traces.endpoint to override this variable",
                );
            }
            break;
        }
    }
}

/// Returns the setting's value in the text of a variable; `None` if it has none.
fn setting_value<'a>(variable: &str, text: &'a str) -> Option<&'a str> {
    match variable {
        TRACES_ENDPOINT => Some(text.strip_suffix(TRACES_PATH).unwrap_or(text)),
        RESOURCE_ATTRIBUTES => {
            let mut pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| key.trim() == "service.name").map(|(_, value)| value.trim())
        }
        _ => Some(text),
    }
}
