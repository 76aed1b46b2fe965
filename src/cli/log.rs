//! The log: lines for people, or one JSON object in each line for machines.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::output::{Format, Paint, Tint};
use crate::controller::audit;

/// The variable that says what is logged, as tracing's `EnvFilter` reads it.
const VARIABLE: &str = "TRITON_LOG";
/// What is logged without it. What a watch or a request met is told by us, with its cure, and not by kube as well.
const USUAL: &str = "warn,triton=info,kube_runtime=error,kube_client::client::builder=off";

/// What is to be logged. Audit lines are, whatever the variable says.
#[must_use]
pub fn filter() -> EnvFilter {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(USUAL));
    let always = format!("{}=info", audit::TARGET);
    filter.add_directive(always.parse().expect("a target and a level"))
}

/// What writes the log.
pub fn subscriber<W>(
    format: Format,
    paint: Paint,
    filter: EnvFilter,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = Lines { format, paint };
    tracing_subscriber::fmt().with_env_filter(filter).event_format(lines).with_writer(writer).finish()
}

/// Makes lines of events.
struct Lines {
    format: Format,
    paint: Paint,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let line = Line {
            time: format!("{:.3}", Timestamp::now()),
            level: level.as_str(),
            message: fields.message,
            rest: fields.rest,
        };
        match self.format {
            Format::Json => writeln!(writer, "{}", line.json()),
            Format::Text => writeln!(writer, "{}", line.text(self.paint, level)),
        }
    }
}

/// One line, as machines read it.
#[derive(Serialize)]
struct Line {
    time: String,
    level: &'static str,
    message: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Line {
    fn json(&self) -> String {
        serde_json::to_string(self).expect("plain data becomes JSON")
    }

    fn text(&self, paint: Paint, level: Level) -> String {
        let tint = match level {
            Level::ERROR => Tint::Bad,
            Level::WARN => Tint::Warn,
            Level::INFO => Tint::Good,
            _ => Tint::Faint,
        };
        let level = paint.tint(tint, &format!("{:>5}", self.level));
        let mut text = format!("{} {level} {}", self.time, plain(&self.message));
        // The line's sentence and its release say to people what the audit says to machines.
        for (name, value) in self.rest.iter().filter(|(name, _)| *name != audit::FIELD) {
            let value = value.as_str().map_or_else(|| value.to_string(), plain);
            text.push_str(&paint.tint(Tint::Faint, &format!(" {name}={value}")));
        }
        text
    }
}

/// Without what would steer a terminal: names in Git and in clusters are other people's.
fn plain(text: &str) -> String {
    let shown = |char: char| match char {
        char if char.is_control() && char != '\n' => char.escape_default().to_string(),
        char => char.to_string(),
    };
    text.chars().map(shown).collect()
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // Where in its source a library that does not use tracing has logged.
            (name, _) if name.starts_with("log.") => {}
            (audit::FIELD, Value::String(text)) => {
                let audit = serde_json::from_str(&text).unwrap_or(Value::String(text));
                self.rest.insert(audit::FIELD.to_owned(), audit);
            }
            (name, value) => {
                self.rest.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, log: impl FnOnce()) -> String {
        let paper = Paper::default();
        let kept = paper.clone();
        let writer = subscriber(format, Paint::NONE, EnvFilter::new("info"), move || paper.clone());
        tracing::subscriber::with_default(writer, log);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_one_flat_object_and_an_audit_stands_in_it_as_it_is() {
        let text = written(Format::Json, || {
            tracing::warn!(release = %"shop/web", count = 2, audit = r#"{"step":1}"#, "said \"so\"\nand so");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().parse::<Timestamp>().is_ok(), "{time}");
        let rest = json!({"level": "WARN", "message": "said \"so\"\nand so", "release": "shop/web", "count": 2,
            "audit": {"step": 1}});
        assert_eq!(line, rest);
    }

    #[test]
    fn a_line_for_people_has_no_json_and_cannot_steer_a_terminal() {
        let text = written(Format::Text, || {
            tracing::info!(release = "shop/web", audit = "{}", "edited by \u{1b}[31mEve");
        });
        let (_, said) = text.split_once(' ').unwrap();
        assert_eq!(said, " INFO edited by \\u{1b}[31mEve release=shop/web\n");
    }

    #[test]
    fn a_debug_line_is_left_out() {
        assert_eq!(written(Format::Text, || tracing::debug!("small talk")), "");
    }
}
