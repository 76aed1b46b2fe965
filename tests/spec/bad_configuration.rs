//! Mistakes in the daemon's configuration and in `freeze.yaml`.

use triton::spec::{read_configuration, read_freeze};

use crate::spec::{lines, render};

fn wrong(text: &str) -> String {
    render(&read_configuration("config.yaml", text.as_bytes()).unwrap_err())
}

fn wrong_fields(fields: &str) -> String {
    wrong(&format!("apiVersion: triton.io/v1\nkind: Configuration\n{fields}"))
}

#[test]
fn a_configuration_is_whole_or_refused() {
    insta::assert_snapshot!(wrong(""), @"
    error: the file has no document
     --> config.yaml:1:1
      = write `apiVersion: triton.io/v1` and `kind: Configuration`
    ");
    insta::assert_snapshot!(wrong("kind: Config\n"), @"
    error: `apiVersion` must be `triton.io/v1` here
     --> config.yaml:1:1
    1 | kind: Config
      | ^
      = write `apiVersion: triton.io/v1`

    error: `kind` must be `Configuration` here
     --> config.yaml:1:7
    1 | kind: Config
      |       ^
      = write `kind: Configuration`
    ");
    insta::assert_snapshot!(wrong("a: [\n"), @"
    error: this is not YAML: unclosed bracket '['
     --> config.yaml:1:4
    1 | a: [
      |    ^
      = close the bracket
    ");
    insta::assert_snapshot!(wrong_fields("---\na: b\n"), @"
    error: the file has more than one document
     --> config.yaml:4:1
    2 | kind: Configuration
    3 | ---
    4 | a: b
      | ^
      = keep one
    ");
}

#[test]
fn every_mistake_of_a_configuration_is_told() {
    let text = "apiVersion: triton.io/v1
kind: Configuration
git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
allow: { namespaces: [Shop, 5], kinds: [Service, Servise, Deployment] }
people: { from: signatures, bots: [7] }
signers: []
skip: never
provenDepth: 50
removal: { releases: -1, percent: 101 }
";
    let diagnostics = read_configuration("config.yaml", text.as_bytes()).unwrap_err();
    insta::assert_snapshot!(lines(&diagnostics), @"
    config.yaml:3:6: `git.passwordFile` has no user; add `usernameFile:`
    config.yaml:3:8: unknown field `git.token`; delete it (there are only tokenFile, usernameFile, passwordFile, caFile, sshKeyFile, knownHostsFile, acceptHead)
    config.yaml:3:33: `git.tokenFile` and `git.passwordFile` are both given; keep one of them
    config.yaml:3:63: `git.acceptHead` is not the full id of a commit; write all 40 hexadecimal digits, as `git rev-parse` prints them
    config.yaml:4:23: `allow.namespaces`: `Shop` is not a valid name: only lower-case letters, digits and `-` are allowed; write the whole name of a namespace
    config.yaml:4:29: `allow.namespaces[1]` must be text, not a number; quote it
    config.yaml:4:50: `allow.kinds`: a release cannot have a companion `Servise`; did you mean `Service`?
    config.yaml:4:59: `allow.kinds`: a release cannot have a companion `Deployment`; delete it (there are only ServiceAccount, ConfigMap, Service, PodDisruptionBudget, HTTPRoute, GRPCRoute, Ingress, HorizontalPodAutoscaler)
    config.yaml:5:17: `people.from: signatures`: this version verifies no signatures; write commit-authors where the forge vouches for them, or leave `people` out
    config.yaml:5:36: `people.bots[0]` must be text, not a number; quote it
    config.yaml:6:1: unknown field `signers`; delete it (there are only apiVersion, kind, git, allow, people, skip, provenDepth, removal)
    config.yaml:7:7: `skip` must be true or false, not text; write true or false, without quotes
    config.yaml:8:14: `provenDepth` must be a whole number from 0 to 20; write such a number, without quotes
    config.yaml:9:22: `removal.releases` must be a whole number from 0 to 1000000; write such a number, without quotes
    config.yaml:9:35: `removal.percent` must be a whole number from 0 to 100; write such a number, without quotes
    ");
}

#[test]
fn fields_of_a_configuration_have_their_types() {
    let text = wrong_fields("git: [1]\nallow: { namespaces: shop }\npeople: { bots: [] }\n");
    insta::assert_snapshot!(text, @"
    error: `git` must be a map, not a list
     --> config.yaml:3:6
    1 | apiVersion: triton.io/v1
    2 | kind: Configuration
    3 | git: [1]
      |      ^
      = write its fields below it

    error: `allow.namespaces` must be a list, not text
     --> config.yaml:4:22
    2 | kind: Configuration
    3 | git: [1]
    4 | allow: { namespaces: shop }
      |                      ^
      = write `[a, b]`

    error: `people.from` is missing
     --> config.yaml:5:9
    3 | git: [1]
    4 | allow: { namespaces: shop }
    5 | people: { bots: [] }
      |         ^
      = add `from:`
    ");
    insta::assert_snapshot!(wrong_fields("people: { from: everyone }\n"), @"
    error: `people.from` cannot be `everyone`
     --> config.yaml:3:17
    1 | apiVersion: triton.io/v1
    2 | kind: Configuration
    3 | people: { from: everyone }
      |                 ^
      = write commit-authors
    ");
}

#[test]
fn a_broken_freeze_shows_its_mistakes() {
    let wrong = |text: &str| {
        let (_, diagnostics) = read_freeze("freeze.yaml", text.as_bytes());
        render(&diagnostics)
    };
    insta::assert_snapshot!(wrong("until: tomorrow\nresaon: x\n"), @"
    error: `reason` is missing
     --> freeze.yaml:1:1
    1 | until: tomorrow
      | ^
      = add `reason:`

    error: `until`: `tomorrow` is not a time with an offset
     --> freeze.yaml:1:8
    1 | until: tomorrow
      |        ^
      = write it as 2026-12-24T18:00:00+01:00

    error: unknown field `resaon`
     --> freeze.yaml:2:1
    1 | until: tomorrow
    2 | resaon: x
      | ^
      = did you mean `reason`?
    ");
    insta::assert_snapshot!(wrong("reason: \"\"\nuntil: 2026\n"), @r#"
    error: `reason` is empty
     --> freeze.yaml:1:1
    1 | reason: ""
      | ^
      = say why nothing may move

    error: `until` must be a time, not a number
     --> freeze.yaml:2:8
    1 | reason: ""
    2 | until: 2026
      |        ^
      = write it as 2026-12-24T18:00:00+01:00
    "#);
    insta::assert_snapshot!(wrong("- a\n"), @"
    error: the document must be a map, not a list
     --> freeze.yaml:1:1
    1 | - a
      | ^
      = write its fields below it
    ");
    insta::assert_snapshot!(wrong("reason: a\n---\nreason: b\n"), @"
    error: the file has more than one document
     --> freeze.yaml:3:1
    1 | reason: a
    2 | ---
    3 | reason: b
      | ^
      = keep one
    ");
}
