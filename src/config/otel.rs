//! OpenTelemetry's standard variables, as values of `[traces]`.
//!
//! They apply where neither a file nor a variable of Switchboard's own nor a flag sets the setting: a platform that
//! sets them for every container gets traces without configuration, and they never override an operator who configures
//! `[traces]`. What else `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_COMPRESSION` say is read by the SDK.

use std::ffi::OsString;

use super::problem::ValueOrigin;
use super::sources::SettingValues;

/// Names the whole URL, where `traces.endpoint` names its base.
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Variables by setting, in their precedence: those of traces before those of all signals.
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
            if *variable == TRACES_ENDPOINT && text == Some(value) {
                values.reject(
                    setting,
                    "the path must end in /v1/traces; set traces.endpoint to override this variable",
                );
            }
            break;
        }
    }
}

/// Returns the value that a variable gives its setting; none if it gives none.
fn setting_value<'a>(variable: &str, text: &'a str) -> Option<&'a str> {
    match variable {
        TRACES_ENDPOINT => Some(text.strip_suffix("/v1/traces").unwrap_or(text)),
        RESOURCE_ATTRIBUTES => {
            let mut pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| key.trim() == "service.name").map(|(_, value)| value.trim())
        }
        _ => Some(text),
    }
}
