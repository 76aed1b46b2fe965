//! `triton schema`: the language as JSON Schema, for editors.
//!
//! The types here are the language's shape and nothing else: the reader of the spec room checks more, and tells it
//! better. A test holds their field names together.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::cli::output::{Exit, Printer};
use crate::objects::keys;

/// Print the JSON Schema of Release, Repository, Configuration and freeze.yaml, for editors.
///
/// One schema for all of them, by `kind`; other kinds, a CloneSet for one, pass. For yaml-language-server, write it
/// to a file and name that in the first line of yours: `# yaml-language-server: $schema=triton.schema.json`.
#[derive(Args, Debug)]
pub struct SchemaArgs {}

/// Runs `triton schema`.
///
/// # Errors
/// Where stdout is gone.
pub fn run(_: &SchemaArgs, printer: &Printer) -> Result<Exit> {
    printer.json(&schema())?;
    Ok(Exit::Fine)
}

/// The schema of every file that people write.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut cases = Vec::new();
    let kinds = [
        ("Release", generator.subschema_for::<Release>()),
        ("Repository", generator.subschema_for::<Repository>()),
        ("Configuration", generator.subschema_for::<Configuration>()),
    ];
    for (kind, schema) in kinds {
        let is_it = json!({
            "required": ["apiVersion", "kind"],
            "properties": { "apiVersion": { "const": keys::API_VERSION }, "kind": { "const": kind } },
        });
        cases.push(json!({ "if": is_it, "then": schema }));
    }
    let freeze = generator.subschema_for::<Freeze>();
    cases.push(json!({ "if": { "not": { "required": ["kind"] } }, "then": freeze }));
    let definitions = generator.take_definitions(true);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Triton",
        "type": "object",
        "allOf": cases,
        "definitions": definitions,
    })
}

/// One application: a CloneSet, how it is rolled out, and what accompanies it.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Release {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Option<ReleaseSpec>,
}

/// Name of the release, and of its CloneSet.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Metadata {
    /// Everything of the release lives in it.
    namespace: String,
    name: String,
    labels: Option<BTreeMap<String, String>>,
    /// `triton.io/adopt: "true"` takes over a CloneSet that exists; `triton.io/on-delete: orphan` leaves the objects when
    /// the file is deleted.
    annotations: Option<BTreeMap<String, String>>,
}

/// How it is rolled out.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct ReleaseSpec {
    /// The name of a strategy of triton.yaml, or a strategy; else the default of triton.yaml.
    strategy: Option<NamedOrWritten>,
    /// Git permits no step beyond this one.
    #[schemars(range(min = 0, max = 1_000_000))]
    step: Option<u32>,
    /// Takes no step while it is true.
    suspend: Option<bool>,
    /// Names of pods that are replaced, each once, as soon as the release is complete.
    #[schemars(length(max = 100))]
    replace: Option<Vec<String>>,
    /// 2 tries a template that failed once more.
    #[schemars(range(min = 1, max = 1_000_000))]
    attempt: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read by the schema only")]
enum NamedOrWritten {
    Named(String),
    Written(Box<Strategy>),
}

/// The steps of a rollout.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Strategy {
    /// Names of HTTPRoutes, GRPCRoutes and Ingresses of nginx of the release, which share traffic by the weights of the steps.
    #[schemars(length(max = 16))]
    routes: Option<Vec<String>>,
    /// Requests that these routes lead to the new version at any weight: those that any of these match.
    #[schemars(length(max = 8))]
    matches: Option<Vec<Match>>,
    /// In order; they never fall, and the last is 100%. Without steps: 100% at once.
    #[schemars(length(max = 50))]
    steps: Option<Vec<Step>>,
    /// In the place of steps: the new version comes up whole beside the old one, and all traffic moves at once.
    blue_green: Option<BlueGreen>,
    /// The very first create: all pods at once, or by the steps.
    initial: Option<Initial>,
    /// A step that is not healthy by then has failed; 10m by default.
    deadline: Option<Duration>,
    /// What follows then: every pod goes back, or the rollout stays where it is.
    on_failure: Option<OnFailure>,
    /// Before a pod is updated in place or deleted, it leaves traffic for this long.
    drain: Option<Duration>,
    /// Pods of a step that may fail without keeping it from being healthy; none by default.
    failure_threshold: Option<Amount>,
}

/// Requests of testers: those that have all of this.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Match {
    #[schemars(length(max = 16))]
    headers: Option<Vec<Criterion>>,
    /// Of the query; a GRPCRoute has none.
    #[schemars(length(max = 16))]
    query_params: Option<Vec<Criterion>>,
}

/// A header, or a parameter of the query.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Criterion {
    name: String,
    value: String,
    /// Whether the value is meant as it stands (by default), or as a regular expression.
    r#type: Option<CriterionType>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the schema only")]
enum CriterionType {
    Exact,
    RegularExpression,
}

/// One step.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Step {
    /// Pods on the new version at this step: a count or a percentage.
    replicas: Amount,
    /// The share of the traffic that these pods get by the routes of the strategy, in whole percent; by default that of the
    /// step before.
    weight: Option<Weight>,
    /// At least this long, healthy, before it is left.
    soak: Option<Duration>,
    /// Somebody approves before it is entered.
    approval: Option<Approval>,
    /// Its pods serve by themselves once they are ready, or by an approval of their own once they are up.
    serve: Option<Serve>,
    /// With `serve: approval`, so many pods at a time: the next ones when these are ready.
    batch: Option<Amount>,
}

/// Two steps: at the first the new version is up in a second CloneSet and the preview Service points at it, at the second
/// the active Service does.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct BlueGreen {
    /// The Service of the release whose pods serve.
    active: String,
    /// The Service of the release by which the new version is tried.
    preview: String,
    /// Somebody approves before the active Service points at the new version.
    approval: Option<Approval>,
    /// At least this long, healthy, before it does.
    soak: Option<Duration>,
    /// The old version stays for this long after it, to go back to in one write; 1h by default.
    keep: Option<Duration>,
    /// Pods on the new version before it serves: a count or a percentage; 100% by default.
    preview_replicas: Option<Amount>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the schema only")]
enum Serve {
    Automatic,
    Approval,
}

/// Who approves.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Approval {
    /// Approvals that it takes; 1 by default.
    #[schemars(range(min = 1, max = 10))]
    count: Option<u32>,
    /// Whether writers of the spec do not count.
    not_author: Option<bool>,
}

/// A duration: `90s`, `10m`, `1h30m`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the schema only")]
struct Duration(#[schemars(regex(pattern = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))] String);

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read by the schema only")]
enum Amount {
    Count(u32),
    Percent(#[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?%$"))] String),
}

/// A share of the traffic: `5%`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the schema only")]
struct Weight(#[schemars(regex(pattern = r"^(100|[0-9]{1,2})%$"))] String);

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the schema only")]
enum Initial {
    All,
    Steps,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by the schema only")]
enum OnFailure {
    Rollback,
    Hold,
}

/// triton.yaml: makes its directory a root.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Repository {
    api_version: String,
    kind: String,
    metadata: Option<Value>,
    spec: Option<RepositorySpec>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct RepositorySpec {
    /// Strategies that releases name.
    strategies: Option<BTreeMap<String, Strategy>>,
    defaults: Option<Defaults>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Defaults {
    /// What a release gets that names no strategy.
    strategy: Option<String>,
}

/// freeze.yaml: while it exists, nothing below its directory takes a step.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Freeze {
    /// Why, for everybody who waits.
    reason: String,
    /// Exclusive end, with an offset: 2026-12-24T18:00:00+01:00.
    until: Option<String>,
}

/// The daemon's configuration; it stands beside the daemon, never in the repository.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Configuration {
    api_version: String,
    kind: String,
    git: Option<Git>,
    allow: Option<Allow>,
    people: Option<People>,
    /// Whether skip markers open gates.
    skip: Option<bool>,
    /// Proven releases that are kept for a rollback; 5 by default.
    #[schemars(range(min = 0, max = 20))]
    proven_depth: Option<u32>,
    removal: Option<Removal>,
}

/// How to get into the repository. Every secret is the path of a file.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Git {
    token_file: Option<String>,
    username_file: Option<String>,
    password_file: Option<String>,
    /// The authorities that HTTPS accepts, in the place of the system's.
    ca_file: Option<String>,
    ssh_key_file: Option<String>,
    known_hosts_file: Option<String>,
    /// The head to go on from where the branch was rewritten: all 40 digits.
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    accept_head: Option<String>,
}

/// What may be written.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Allow {
    /// Namespaces; all by default.
    namespaces: Option<Vec<String>>,
    /// Kinds of companions; all that are known by default.
    kinds: Option<Vec<String>>,
}

/// Whose approvals can be told apart.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct People {
    from: From,
    /// Authors who are nobody, by name or address.
    bots: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "read by the schema only")]
enum From {
    CommitAuthors,
}

/// How much one sync may remove without being asked.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the schema only")]
struct Removal {
    releases: Option<u32>,
    #[schemars(range(min = 0, max = 100))]
    percent: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use crate::spec::{Diagnostic, assemble, parse_file, parse_repository, read_configuration, read_freeze};

    /// A word that is no field of anything, nor near to one.
    const STRANGE: &str = "zzzzzzzzzzzz";

    /// The fields that the reader names when it meets a strange one.
    fn read(found: &[Diagnostic]) -> BTreeSet<String> {
        let cure = found.iter().find(|it| it.message.contains(STRANGE)).map(|it| it.cure.as_str());
        let list = cure.and_then(|cure| cure.strip_prefix("delete it (there are only ")?.strip_suffix(')'));
        list.unwrap_or_else(|| panic!("{found:?}")).split(", ").map(str::to_owned).collect()
    }

    fn shown(definition: &str) -> BTreeSet<String> {
        let schema = schema();
        schema["definitions"][definition]["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_schema_has_the_fields_that_the_reader_takes() {
        let configuration = |text: &str| {
            let text = format!("apiVersion: triton.io/v1\nkind: Configuration\n{text}\n");
            read(&read_configuration("c.yaml", text.as_bytes()).unwrap_err())
        };
        let repository = |text: &str| {
            let text = format!("apiVersion: triton.io/v1\nkind: Repository\n{text}\n");
            read(&parse_repository(text.as_bytes()).diagnostics("triton.yaml"))
        };
        let release = |text: &str| {
            let text = format!("apiVersion: triton.io/v1\nkind: Release\n{text}\n");
            let files =
                BTreeMap::from([("releases/a.yaml".to_owned(), Arc::new(parse_file(text.as_bytes())))]);
            read(
                &assemble(&files, &parse_repository(b"apiVersion: triton.io/v1\nkind: Repository"))
                    .diagnostics,
            )
        };
        let names = "metadata: { namespace: shop, name: cart }\n";
        let wrapped = |place: &str| place.replace('?', &format!("{{ {STRANGE}: 1 }}"));
        assert_eq!(shown("Configuration"), configuration(&format!("{STRANGE}: 1")));
        for (name, place) in
            [("Git", "git: ?"), ("Allow", "allow: ?"), ("People", "people: ?"), ("Removal", "removal: ?")]
        {
            assert_eq!(shown(name), configuration(&wrapped(place)), "{name}");
        }
        for (name, place) in [
            ("RepositorySpec", "spec: ?"),
            ("Defaults", "spec: { defaults: ? }"),
            ("Strategy", "spec: { strategies: { a: ? } }"),
            ("Match", "spec: { strategies: { a: { matches: [?] } } }"),
            ("Criterion", "spec: { strategies: { a: { matches: [{ headers: [?] }] } } }"),
            ("Step", "spec: { strategies: { a: { steps: [?] } } }"),
            ("BlueGreen", "spec: { strategies: { a: { blueGreen: ? } } }"),
            ("Approval", "spec: { strategies: { a: { steps: [{ replicas: 100%, approval: ? }] } } }"),
        ] {
            assert_eq!(shown(name), repository(&wrapped(place)), "{name}");
        }
        assert_eq!(shown("Repository"), repository(&format!("{STRANGE}: 1")));
        assert_eq!(shown("Release"), release(&format!("{names}{STRANGE}: 1")));
        assert_eq!(shown("ReleaseSpec"), release(&format!("{names}{}", wrapped("spec: ?"))));
        let metadata = format!("metadata: {{ namespace: shop, name: cart, {STRANGE}: 1 }}");
        assert_eq!(shown("Metadata"), release(&metadata));
        assert_eq!(
            shown("Freeze"),
            read(&read_freeze("freeze.yaml", format!("reason: x\n{STRANGE}: 1\n").as_bytes()).1)
        );
    }

    #[test]
    fn every_kind_of_file_has_its_schema() {
        let schema = schema();
        assert_eq!(schema["allOf"].as_array().map(Vec::len), Some(4));
        assert_eq!(schema["definitions"]["Release"]["additionalProperties"], false);
        assert_eq!(schema["definitions"]["Step"]["required"], json!(["replicas"]));
        assert_eq!(schema["definitions"]["Freeze"]["required"], json!(["reason"]));
    }
}
