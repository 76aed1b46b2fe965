//! The body of a CloneSet that is about to be sent, as Kruise will read it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::guard::rule::{Rule, Violation, require};
use crate::model::Amount;
use crate::spec::hook;
use crate::world::Memory;

/// What a body says of the things that decide how many pods move.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent<'a> {
    /// `spec`.
    pub spec: &'a Value,
    /// `spec.template`.
    pub template: &'a Value,
    /// `spec.updateStrategy.partition`.
    pub partition: Amount,
    /// `spec.replicas`, where it is sent.
    pub replicas: Option<u32>,
    /// Memory in its annotations.
    pub memory: Memory,
}

impl<'a> Sent<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    ///
    /// [`Rule::Whole`] where a part is missing whose absence moves pods: server-side apply drops what is left out.
    pub fn read(body: &'a Value) -> Result<Self, Violation> {
        let spec = &body["spec"];
        let part = |pointer: &str| {
            let found = spec.pointer(pointer).filter(|it| !it.is_null());
            found.ok_or_else(|| Violation {
                rule: Rule::Whole,
                message: format!("the body has no spec{pointer}"),
            })
        };
        part("/selector")?;
        let template = part("/template")?;
        let partition = serde_json::from_value(part("/updateStrategy/partition")?.clone());
        let partition = partition.map_err(|_| whole("spec/updateStrategy/partition is no amount of pods"))?;
        let paused = spec.pointer("/updateStrategy/paused").is_some_and(|it| *it != Value::Bool(false));
        require(!paused, Rule::Whole, || "a rollout is held by its partition, never by paused".to_owned())?;
        let count = |it: &Value| it.as_u64().and_then(|it| u32::try_from(it).ok());
        let replicas = match spec.get("replicas") {
            None => None,
            Some(it) => Some(count(it).ok_or_else(|| whole("spec/replicas is no number of pods"))?),
        };
        let memory = memory_of(body).ok_or_else(|| whole("the body has no complete memory"))?;
        Ok(Self { spec, template, partition, replicas, memory })
    }

    /// `spec` without what the rollout decides: replicas, partition, paused, which pods are deleted, and our hook.
    #[must_use]
    pub fn settled(spec: &Value) -> Value {
        let mut spec = spec.clone();
        hook::take_out(&mut spec);
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("replicas");
            let emptied =
                fields.get_mut("updateStrategy").and_then(Value::as_object_mut).is_some_and(|strategy| {
                    strategy.remove("partition");
                    strategy.remove("paused");
                    strategy.is_empty()
                });
            if emptied {
                fields.remove("updateStrategy");
            }
            let scale = fields.get_mut("scaleStrategy").and_then(Value::as_object_mut);
            let emptied = scale.is_some_and(|scale| {
                scale.remove("podsToDelete");
                scale.is_empty()
            });
            if emptied {
                fields.remove("scaleStrategy");
            }
        }
        spec
    }
}

/// Memory in the annotations of a body.
#[must_use]
pub fn memory_of(body: &Value) -> Option<Memory> {
    let annotations = body.pointer("/metadata/annotations")?.as_object()?;
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    let annotations: Option<BTreeMap<_, _>> = annotations.iter().map(text).collect();
    Memory::from_annotations(&annotations?)
}

fn whole(message: &str) -> Violation {
    Violation { rule: Rule::Whole, message: message.to_owned() }
}
