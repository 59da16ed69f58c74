//! Settings of traces, and the standard variables for them.

use super::*;

#[test]
fn trace_endpoint_and_headers_are_validated_and_secrets_not_repeated() {
    let set = |name: &str, value: &str| {
        let errors = environment(&[(name, value)]).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let endpoint = set("SWITCHBOARD__TRACES__ENDPOINT", "127.0.0.1:4318");
    assert!(endpoint.contains("traces.endpoint: ") && endpoint.contains("has no scheme"), "{endpoint}");
    for ending in ["", "/"] {
        let whole = format!("http://127.0.0.1:4318/v1/traces{ending}");
        let twice = set("SWITCHBOARD__TRACES__ENDPOINT", &whole);
        let why = "ends in /v1/traces, which is added automatically: set \"http://127.0.0.1:4318\"";
        assert!(twice.contains("traces.endpoint: ") && twice.contains(why), "{twice}");
    }
    let secret = set("SWITCHBOARD__TRACES__ENDPOINT", &format!("https://me:{CANARY}@collector.example"));
    assert!(secret.contains("user name or password") && !secret.contains(CANARY), "{secret}");
    let headers = set("SWITCHBOARD__TRACES__HEADERS", CANARY);
    assert!(
        headers.contains("traces.headers: is not a list of headers") && !headers.contains(CANARY),
        "{headers}"
    );
    let share = set("SWITCHBOARD__TRACES__SAMPLE_PERCENT", "101");
    assert!(share.contains("it must be from 0 to 100"), "{share}");
    let warnings = |endpoint: &str| {
        let set = [
            ("SWITCHBOARD__TRACES__ENDPOINT", endpoint),
            ("SWITCHBOARD__TRACES__HEADERS", "authorization=x"),
        ];
        environment(&set).unwrap().warnings()
    };
    assert_eq!(warnings("http://127.0.0.1:4318"), [] as [&str; 0]);
    assert!(
        matches!(&warnings("http://collector.example:4318")[..], [one] if one.starts_with("traces.endpoint is http"))
    );
}

#[test]
fn standard_variables_configure_traces_where_no_setting_does() {
    let standard = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary_never_to_be_shown"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a, service.name=graph"),
    ];
    let config = environment(&standard).unwrap();
    let traces = &config.traces;
    assert_eq!((traces.endpoint.as_str(), traces.timeout_ms), ("http://127.0.0.1:4318", 2_500));
    assert_eq!((traces.service_name.as_str(), traces.headers().unwrap().len()), ("graph", 1));
    let printed = config.redacted();
    for line in [
        "endpoint = \"http://127.0.0.1:4318\" # variable OTEL_EXPORTER_OTLP_ENDPOINT\n",
        "headers = \"[redacted]\" # variable OTEL_EXPORTER_OTLP_HEADERS\n",
        "service_name = \"graph\" # variable OTEL_RESOURCE_ATTRIBUTES\n",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(!printed.contains(CANARY));

    let of_traces = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector.example/otlp/v1/traces"),
        ("OTEL_SERVICE_NAME", "other"),
    ];
    let config = environment(&[&standard[..], &of_traces].concat()).unwrap();
    assert_eq!(config.traces.endpoint, "https://collector.example/otlp");
    assert_eq!(config.traces.service_name, "other");

    let settings = [("SWITCHBOARD__TRACES__ENDPOINT", ""), ("SWITCHBOARD__TRACES__SERVICE_NAME", "set")];
    let config = environment(&[&standard[..], &of_traces, &settings].concat()).unwrap();
    assert_eq!((config.traces.url(), config.traces.service_name.as_str()), (None, "set"));

    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", CANARY),
    ] {
        let refused = environment(&[(name, value)]).unwrap_err();
        assert!(
            matches!(&refused[..], [line] if line.contains(name) && !line.contains(CANARY)),
            "{refused:?}"
        );
    }
}
