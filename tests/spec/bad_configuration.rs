//! Mistakes in the daemon's configuration and in `freeze.yaml`.

use triton::spec::{Diagnostic, read_configuration, read_freeze};

fn wrong(text: &str) -> String {
    let diagnostics = read_configuration("triton-config.yaml", text.as_bytes()).unwrap_err();
    diagnostics.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n")
}

fn wrong_fields(fields: &str) -> String {
    wrong(&format!("apiVersion: triton.io/v1\nkind: Configuration\n{fields}"))
}

#[test]
fn a_configuration_is_whole_or_refused() {
    insta::assert_snapshot!(wrong(""), @"
    error: the file has no document
     --> triton-config.yaml:1:1
      = write `apiVersion: triton.io/v1` and `kind: Configuration`
    ");
    insta::assert_snapshot!(wrong("kind: Config\n"), @"
    error: `apiVersion` must be `triton.io/v1` here
     --> triton-config.yaml:1:1
    1 | kind: Config
      | ^
      = write `apiVersion: triton.io/v1`

    error: `kind` must be `Configuration` here
     --> triton-config.yaml:1:7
    1 | kind: Config
      |       ^
      = write `kind: Configuration`
    ");
    insta::assert_snapshot!(wrong("a: [\n"), @"
    error: this is not YAML: unclosed bracket '['
     --> triton-config.yaml:1:4
    1 | a: [
      |    ^
      = close the bracket
    ");
    insta::assert_snapshot!(wrong_fields("---\na: b\n"), @"
    error: the file has more than one document
     --> triton-config.yaml:4:1
    2 | kind: Configuration
    3 | ---
    4 | a: b
      | ^
      = keep one
    ");
}

#[test]
fn every_mistake_of_a_configuration_is_told() {
    let text = wrong_fields(
        "git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
allow: { namespaces: [Shop, 5], kinds: [Service, Servise, Deployment] }
people: { from: signatures }
signers: []
skip: never
provenDepth: 50
removal: { releases: -1, percent: 101 }
",
    );
    insta::assert_snapshot!(text, @"
    error: `git.passwordFile` has no user
     --> triton-config.yaml:3:6
    1 | apiVersion: triton.io/v1
    2 | kind: Configuration
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
      |      ^
      = add `usernameFile:`

    error: unknown field `git.token`
     --> triton-config.yaml:3:8
    1 | apiVersion: triton.io/v1
    2 | kind: Configuration
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
      |        ^
      = delete it; there are tokenFile, usernameFile, passwordFile, sshKeyFile, knownHostsFile, acceptHead

    error: `git.tokenFile` and `git.passwordFile` are both given
     --> triton-config.yaml:3:33
    1 | apiVersion: triton.io/v1
    2 | kind: Configuration
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
      |                                 ^
      = keep one of them

    error: `git.acceptHead` is not the full id of a commit
     --> triton-config.yaml:3:63
    1 | apiVersion: triton.io/v1
    2 | kind: Configuration
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
      |                                                               ^
      = write all 40 hexadecimal digits, as `git rev-parse` prints them

    error: `allow.namespaces`: `Shop` is not a valid name: only lower-case letters, digits and `-` are allowed
     --> triton-config.yaml:4:23
    2 | kind: Configuration
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
    4 | allow: { namespaces: [Shop, 5], kinds: [Service, Servise, Deployment] }
      |                       ^
      = write the whole name of a namespace

    error: `allow.namespaces[1]` must be text, not a number
     --> triton-config.yaml:4:29
    2 | kind: Configuration
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
    4 | allow: { namespaces: [Shop, 5], kinds: [Service, Servise, Deployment] }
      |                             ^
      = quote it

    error: `allow.kinds`: a release cannot have a companion `Servise`
     --> triton-config.yaml:4:50
    2 | kind: Configuration
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
    4 | allow: { namespaces: [Shop, 5], kinds: [Service, Servise, Deployment] }
      |                                                  ^
      = did you mean `Service`?

    error: `allow.kinds`: a release cannot have a companion `Deployment`
     --> triton-config.yaml:4:59
    2 | kind: Configuration
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
    4 | allow: { namespaces: [Shop, 5], kinds: [Service, Servise, Deployment] }
      |                                                           ^
      = delete it; there are ServiceAccount, ConfigMap, Service, PodDisruptionBudget, HTTPRoute, Ingress, HorizontalPodAutoscaler

    error: `people.from: signatures`: this version verifies no signatures
     --> triton-config.yaml:5:17
    3 | git: { token: x, tokenFile: /t, passwordFile: /p, acceptHead: abc }
    4 | allow: { namespaces: [Shop, 5], kinds: [Service, Servise, Deployment] }
    5 | people: { from: signatures }
      |                 ^
      = write commit-authors where the forge vouches for them, or leave `people` out

    error: unknown field `signers`
     --> triton-config.yaml:6:1
    4 | allow: { namespaces: [Shop, 5], kinds: [Service, Servise, Deployment] }
    5 | people: { from: signatures }
    6 | signers: []
      | ^
      = delete it; there are apiVersion, kind, git, allow, people, skip, provenDepth, removal

    error: `skip` must be true or false, not text
     --> triton-config.yaml:7:7
    5 | people: { from: signatures }
    6 | signers: []
    7 | skip: never
      |       ^
      = write true or false, without quotes

    error: `provenDepth` must be a whole number from 0 to 20
     --> triton-config.yaml:8:14
    6 | signers: []
    7 | skip: never
    8 | provenDepth: 50
      |              ^
      = write such a number, without quotes

    error: `removal.releases` must be a whole number from 0 to 1000000
     --> triton-config.yaml:9:22
    7 | skip: never
    8 | provenDepth: 50
    9 | removal: { releases: -1, percent: 101 }
      |                      ^
      = write such a number, without quotes

    error: `removal.percent` must be a whole number from 0 to 100
     --> triton-config.yaml:9:35
    7 | skip: never
    8 | provenDepth: 50
    9 | removal: { releases: -1, percent: 101 }
      |                                   ^
      = write such a number, without quotes
    ");
    let text = wrong_fields("git: [1]\nallow: { namespaces: shop }\npeople: { bots: [7] }\n");
    insta::assert_snapshot!(text, @"
    error: `git` must be a map, not a list
     --> triton-config.yaml:3:6
    1 | apiVersion: triton.io/v1
    2 | kind: Configuration
    3 | git: [1]
      |      ^
      = write its fields below it

    error: `allow.namespaces` must be a list, not text
     --> triton-config.yaml:4:22
    2 | kind: Configuration
    3 | git: [1]
    4 | allow: { namespaces: shop }
      |                      ^
      = write `[a, b]`

    error: `people.from` is missing
     --> triton-config.yaml:5:9
    3 | git: [1]
    4 | allow: { namespaces: shop }
    5 | people: { bots: [7] }
      |         ^
      = add `from:`

    error: `people.bots[0]` must be text, not a number
     --> triton-config.yaml:5:18
    3 | git: [1]
    4 | allow: { namespaces: shop }
    5 | people: { bots: [7] }
      |                  ^
      = quote it
    ");
    insta::assert_snapshot!(wrong_fields("people: { from: everyone }\n"), @"
    error: `people.from` cannot be `everyone`
     --> triton-config.yaml:3:17
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
        diagnostics.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n")
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
