//! Prometheus's text format 0.0.4, made from an OpenMetrics page.
//!
//! Both formats have the same samples. In the older one the metadata of a counter has the name of its samples, with
//! `_total`; there are no units and no end mark; and newer types become `untyped` or `gauge`
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

/// Converts an OpenMetrics page.
pub(super) fn from_openmetrics(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    // The new name of a metric depends on its type, which may follow the help text; so types are collected first.
    let mut counters = std::collections::HashSet::new();
    let mut infos = std::collections::HashSet::new();
    for line in page.lines() {
        match line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            Some((name, "counter")) => _ = counters.insert(name),
            Some((name, "info")) => _ = infos.insert(name),
            _ => {}
        }
    }
    for line in page.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let mut parts = line.splitn(4, ' ');
        if let (Some("#"), Some(kind), Some(name), Some(rest)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            let suffix = match name {
                _ if counters.contains(name) => "_total",
                _ if infos.contains(name) => "_info",
                _ => "",
            };
            let rest = match (kind, rest) {
                ("TYPE", "unknown") => "untyped",
                ("TYPE", "info" | "stateset") => "gauge",
                _ => rest,
            };
            text.extend(["# ", kind, " ", name, suffix, " ", rest, "\n"]);
        } else {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_like_their_samples_and_units_and_end_mark_are_omitted() {
        let page = "# HELP calls Calls made so far.\n# TYPE calls counter\n# UNIT calls seconds\ncalls_total{a=\"# TYPE\"} 3\n\
                    # HELP build Version.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n# TYPE room gauge\nroom 2.5\n# EOF\n";
        assert_eq!(
            from_openmetrics(page),
            "# HELP calls_total Calls made so far.\n# TYPE calls_total counter\ncalls_total{a=\"# TYPE\"} 3\n\
             # HELP build_info Version.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n# TYPE room gauge\nroom 2.5\n"
        );
    }
}
