//! The metrics: one table, from which the page is made and with which the README agrees.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::cluster::requests::Counts;
use crate::controller::Pulse;
use crate::controller::pulse::{BOUNDS, Spread, Stage, Vitals, age};
use crate::model::Gate;
use crate::objects::Kind;
use crate::objects::record::Phase;
use crate::world::Decision;

/// What the page is, for who reads it (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One metric.
pub struct Metric {
    /// As Prometheus shows it.
    pub name: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
    /// Where it comes from.
    from: From,
}

/// Values by the values of their labels.
type Samples<T> = Vec<(Vec<String>, T)>;

enum From {
    Gauge(fn(&Scene) -> Samples<f64>),
    Counter(fn(&Scene) -> Samples<u64>),
    Histogram(fn(&Scene) -> &Spread),
}

impl Metric {
    /// `gauge`, `counter` or `histogram`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.from {
            From::Gauge(_) => "gauge",
            From::Counter(_) => "counter",
            From::Histogram(_) => "histogram",
        }
    }

    const fn metric_type(&self) -> MetricType {
        match self.from {
            From::Gauge(_) => MetricType::Gauge,
            From::Counter(_) => MetricType::Counter,
            From::Histogram(_) => MetricType::Histogram,
        }
    }
}

/// Every metric.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "triton_build_info",
        labels: &["version"],
        help: "Always 1; the version of the program.",
        from: From::Gauge(|_| vec![(vec![env!("CARGO_PKG_VERSION").to_owned()], 1.0)]),
    },
    Metric {
        name: "triton_active",
        labels: &[],
        help: "1 in the replica that acts, 0 in one that waits for the lease.",
        from: From::Gauge(|it| one(f64::from(u8::from(it.is_active())))),
    },
    Metric {
        name: "triton_loop_age_seconds",
        labels: &[],
        help: "Time since the control loop last turned.",
        from: From::Gauge(|it| one(it.vitals.turned_at.elapsed().as_secs_f64())),
    },
    Metric {
        name: "triton_lap_seconds",
        labels: &[],
        help: "Time that laps of the control loop took: looking and deciding; writes go on beside them.",
        from: From::Histogram(|it| &it.vitals.tally.laps),
    },
    Metric {
        name: "triton_releases",
        labels: &["phase"],
        help: "Releases by phase.",
        from: From::Gauge(phases),
    },
    Metric {
        name: "triton_holds",
        labels: &["gate"],
        help: "Closed gates of all releases, by gate.",
        from: From::Gauge(holds),
    },
    Metric {
        name: "triton_step_age_seconds",
        labels: &["release"],
        help: "Time since the step was entered on which a rollout stands that is not complete; the 50 longest.",
        from: From::Gauge(steps),
    },
    Metric {
        name: "triton_decisions_total",
        labels: &["decision"],
        help: "Decisions that were carried out.",
        from: From::Counter(decisions),
    },
    Metric {
        name: "triton_drift_repaired_total",
        labels: &["kind"],
        help: "Objects that were written again because somebody else had changed them.",
        from: From::Counter(repaired),
    },
    Metric {
        name: "triton_commit_applied_seconds",
        labels: &[],
        help: "Time from the poll that named a commit until everything was written that it asked for at once.",
        from: From::Histogram(|it| &it.vitals.tally.applied),
    },
    Metric {
        name: "triton_git_head_age_seconds",
        labels: &[],
        help: "Time since the head that is followed was committed, by its committer's clock.",
        from: From::Gauge(|it| it.ago(it.vitals.survey.head_at)),
    },
    Metric {
        name: "triton_git_fetch_age_seconds",
        labels: &[],
        help: "Time since Git was last asked with success.",
        from: From::Gauge(|it| it.ago(it.vitals.survey.fetched_at)),
    },
    Metric {
        name: "triton_git_polls_total",
        labels: &["result"],
        help: "Polls of Git: answered, unreachable, or refused because the answer must not be followed.",
        from: From::Counter(polls),
    },
    Metric {
        name: "triton_api_requests_total",
        labels: &["verb", "result"],
        help: "Requests to the API server: ok, or why not. A watch counts where it is interrupted.",
        from: From::Counter(requests),
    },
];

/// Everything that a page is made from.
struct Scene {
    vitals: Vitals,
    requests: Counts,
    now: jiff::Timestamp,
}

impl Scene {
    const fn is_active(&self) -> bool {
        match self.vitals.stage {
            Stage::Starting | Stage::Waiting(_) => false,
            Stage::Listing(_) | Stage::Reading(_) | Stage::Turning => true,
        }
    }

    /// No sample where it never was.
    fn ago(&self, at: Option<jiff::Timestamp>) -> Samples<f64> {
        at.map(|at| (Vec::new(), age(self.now, at).as_secs_f64())).into_iter().collect()
    }
}

fn one<T>(value: T) -> Samples<T> {
    vec![(Vec::new(), value)]
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 releases")]
fn gauge(count: Option<&u64>) -> f64 {
    count.copied().unwrap_or_default() as f64
}

// What has not happened yet is 0 and not absent: an alert on its growth sees the first time as well.

fn phases(scene: &Scene) -> Samples<f64> {
    let all = [Phase::Healthy, Phase::Progressing, Phase::Paused, Phase::RollingBack, Phase::Degraded];
    all.into_iter()
        .map(|it| (vec![it.word().to_owned()], gauge(scene.vitals.survey.phases.get(&it))))
        .collect()
}

fn holds(scene: &Scene) -> Samples<f64> {
    GATES
        .into_iter()
        .map(|it| (vec![it.word().to_owned()], gauge(scene.vitals.survey.holds.get(&it))))
        .collect()
}

/// Every gate.
pub const GATES: [Gate; 23] = [
    Gate::Approval,
    Gate::Cap,
    Gate::Soak,
    Gate::Serve,
    Gate::Pods,
    Gate::Traffic,
    Gate::Replace,
    Gate::RollingBack,
    Gate::Suspend,
    Gate::Freeze,
    Gate::Failed,
    Gate::Zero,
    Gate::Spec,
    Gate::Git,
    Gate::Fetch,
    Gate::Ownership,
    Gate::Policy,
    Gate::Documents,
    Gate::Removal,
    Gate::Cluster,
    Gate::Controller,
    Gate::Revision,
    Gate::Guard,
];

fn steps(scene: &Scene) -> Samples<f64> {
    let of = |(id, at): (&crate::model::ReleaseId, &jiff::Timestamp)| {
        (vec![id.to_string()], age(scene.now, *at).as_secs_f64())
    };
    scene.vitals.survey.steps.iter().map(of).collect()
}

fn decisions(scene: &Scene) -> Samples<u64> {
    let all = [
        Decision::Rest,
        Decision::Note,
        Decision::Create,
        Decision::Adopt,
        Decision::Enter(0),
        Decision::Repair,
        Decision::Replace,
        Decision::Fail,
        Decision::RollBack,
        Decision::Complete,
        Decision::Remove,
    ];
    let counts = &scene.vitals.tally.decisions;
    let count = |word: &'static str| counts.get(word).copied().unwrap_or_default();
    all.iter().map(Decision::word).map(|word| (vec![word.to_owned()], count(word))).collect()
}

fn repaired(scene: &Scene) -> Samples<u64> {
    let all = std::iter::once(Kind::CloneSet).chain(Kind::COMPANIONS);
    let count = |kind: Kind| scene.vitals.tally.repaired.get(&kind).copied().unwrap_or_default();
    all.map(|kind| (vec![kind.to_string()], count(kind))).collect()
}

fn polls(scene: &Scene) -> Samples<u64> {
    let count = |came: &str| scene.vitals.tally.polls.get(came).copied().unwrap_or_default();
    ["answered", "refused", "unreachable"].map(|came| (vec![came.to_owned()], count(came))).into()
}

/// Verbs and categories of errors are words of the program: few, whatever the API server says.
fn requests(scene: &Scene) -> Samples<u64> {
    let of = |(&(verb, came), &count): (&(&str, &str), &u64)| (vec![verb.to_owned(), came.to_owned()], count);
    scene.requests.iter().map(of).collect()
}

/// One page.
struct Page(Pulse);

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page")
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(pulse) = self;
        let scene = Scene { vitals: pulse.vitals(), requests: pulse.requests(), now: pulse.now() };
        for metric in METRICS {
            encode(metric, &scene, &mut encoder)?;
        }
        Ok(())
    }
}

fn encode(metric: &Metric, scene: &Scene, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    // The form adds it to counters.
    let name = metric.name.trim_end_matches("_total");
    let mut out = encoder.encode_descriptor(name, metric.help, None, metric.metric_type())?;
    let labelled = |values: Vec<String>| metric.labels.iter().copied().zip(values).collect::<Vec<_>>();
    match metric.from {
        From::Gauge(read) => {
            for (values, value) in read(scene) {
                match labelled(values) {
                    labels if labels.is_empty() => out.encode_gauge(&value)?,
                    labels => out.encode_family(&labels)?.encode_gauge(&value)?,
                }
            }
        }
        From::Counter(read) => {
            for (values, value) in read(scene) {
                let labels = labelled(values);
                out.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
            }
        }
        From::Histogram(read) => {
            let spread = read(scene);
            let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(spread.counts).collect();
            out.encode_histogram::<NoLabelSet>(spread.sum, spread.counts.iter().sum(), &buckets, None)?;
        }
    }
    Ok(())
}

/// The page as it is now.
///
/// # Errors
///
/// None that is known: memory takes everything that is written to it.
pub fn page(pulse: &Pulse) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(pulse.clone())));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}
