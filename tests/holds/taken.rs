//! A world for every hold of what somebody else has made: to be taken over, or left alone.

use std::sync::Arc;

use serde_json::{Value, json};
use triton::fields::FieldChange;
use triton::objects::Kind;
use triton::world::{CompanionLive, OtherTool, Rehearsal, Tool, World};

use crate::holds::planner::{Story, a, with};
use crate::support::world::{ago, complete, edit, edit_intent, edit_live, intent, key, live, world};

/// A CloneSet that somebody else made, while Git has its release.
fn stranger(adopt: bool, change: impl FnOnce(&mut triton::world::Live)) -> World {
    let mut world = world(intent(&a()), Some(live(&a(), None, "0", 10)), &[&a()]);
    edit_intent(&mut world, |intent| Arc::make_mut(&mut intent.release).adopt = adopt);
    edit_live(&mut world, |live| {
        live.root = None;
        change(live);
    });
    world
}

/// One that another tool applies too.
fn tool(tool: Tool, name: &str) -> World {
    stranger(true, |live| live.other_owner = Some(OtherTool { tool, name: name.into() }))
}

/// A release that takes over what runs, with its CloneSet, while its Service is nobody's yet.
fn free(change: impl FnOnce(&mut CompanionLive)) -> World {
    let mut world = world(intent(&a()), Some(live(&a(), Some(complete(&a())), "0", 10)), &[&a()]);
    edit_intent(&mut world, |intent| Arc::make_mut(&mut intent.release).adopt = true);
    edit(&mut world, |case| {
        let service = case.companions.get_mut(&key(Kind::Service, "checkout")).unwrap();
        service.release = String::new();
        change(service);
    });
    world
}

fn port() -> Arc<[FieldChange]> {
    let found = Some(json!(8080));
    Arc::from([FieldChange { path: "spec.ports[0].port".into(), wanted: json!(80), found, manager: None }])
}

fn helm() -> OtherTool {
    OtherTool { tool: Tool::Helm, name: "web".into() }
}

pub fn taken() -> Vec<Story> {
    let change = FieldChange {
        path: "spec.template.spec.containers[name=app].image".into(),
        wanted: Value::Null,
        found: None,
        manager: None,
    };
    let differs: Arc<[FieldChange]> = Arc::from([change]);
    let late = |world: &mut World| world.source.fetched_at = Some(ago(100));
    vec![
        ("exists already", stranger(false, |_| {})),
        ("applied by Flux too", tool(Tool::FluxKustomization, "flux/apps")),
        ("applied by Flux with Helm too", tool(Tool::FluxHelmRelease, "flux/web")),
        ("applied by Argo CD too", tool(Tool::ArgoCd, "shop")),
        ("applied by Helm too", tool(Tool::Helm, "")),
        (
            "to be adopted in the middle of a rollout",
            stranger(true, |live| live.partition = "50%".parse().unwrap()),
        ),
        ("to be adopted with late pods", stranger(true, |live| live.status.observed_generation = Some(1))),
        (
            "to be adopted, with a template that cannot be kept",
            stranger(true, |live| live.rehearsal = Some(Rehearsal { template: differs, standing: None })),
        ),
        ("to be adopted, and not looked at yet", stranger(true, |live| live.rehearsal = None)),
        ("with a companion of nobody's that differs", free(|there| there.drift = port())),
        ("with a companion that Helm applies", free(|there| there.other_owner = Some(helm()))),
        (
            "to be adopted with another size",
            stranger(true, |live| {
                live.replicas = 7;
                (live.status.replicas, live.status.updated) = (7, 7);
            }),
        ),
        ("to be adopted at zero replicas", stranger(true, |live| live.replicas = 0)),
        ("to be adopted on an old fetch", with(stranger(true, |_| {}), late)),
    ]
}
