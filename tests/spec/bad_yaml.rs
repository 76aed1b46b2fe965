//! Files that are no YAML, or YAML that is not read.

use std::fmt::Write as _;

use triton::spec::parse_file;

use crate::spec::{CHECKOUT, read, render, wrong, wrong_after};

fn wrong_file(text: &str) -> String {
    wrong(&[("releases/a.yaml", text)])
}

/// Of bytes that are no text.
fn wrong_bytes(bytes: &[u8]) -> String {
    let files = [("releases/a.yaml".to_owned(), std::sync::Arc::new(parse_file(bytes)))];
    let read = triton::spec::assemble(&files.into(), &triton::spec::RepositoryFile::default());
    render(&read.diagnostics)
}

#[test]
fn an_error_of_syntax_is_one_mistake_among_others() {
    let text = wrong_after(&[
        ("  strategy:\n", "  stratgey:\n"),
        ("{ app: checkout } }\nspec:", "{ app: checkout }\nspec:"),
        ("kind: Service", "kind: Srevice"),
    ]);
    insta::assert_snapshot!(text, @"
    error: unknown field `spec.stratgey`
     --> releases/shop/checkout.yaml:5:3
    3 | metadata: { namespace: shop, name: checkout }
    4 | spec:
    5 |   stratgey:
      |   ^
      = did you mean `strategy`?

    error: this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'
      --> releases/shop/checkout.yaml:19:1
    17 | kind: CloneSet
    18 | metadata: { namespace: shop, name: checkout, labels: { app: checkout }
    19 | spec:
       | ^
       = mend the YAML here, or in the line before

    error: a Srevice cannot be part of a release
      --> releases/shop/checkout.yaml:35:7
    33 | ---
    34 | apiVersion: v1
    35 | kind: Srevice
       |       ^
       = did you mean `Service`?
    ");
}

#[test]
fn tabs_open_brackets_and_open_quotes_have_their_cure() {
    insta::assert_snapshot!(wrong_file("a:\n\tb: c\n"), @"
    error: this is not YAML: tabs disallowed within this context (block indentation)
     --> releases/a.yaml:2:2
    1 | a:
    2 |  b: c
      |  ^
      = indent with spaces
    ");
    insta::assert_snapshot!(wrong_file("a: [1, 2\n"), @"
    error: this is not YAML: unclosed bracket '['
     --> releases/a.yaml:1:4
    1 | a: [1, 2
      |    ^
      = close the bracket
    ");
    insta::assert_snapshot!(wrong_file("a: \"b\n"), @"
    error: this is not YAML: invalid indentation in multiline quoted scalar
     --> releases/a.yaml:2:1
      = close the quote, or indent the lines within it
    ");
    insta::assert_snapshot!(wrong_file("a: *nowhere\n"), @"
    error: this is not YAML: while parsing node, found unknown anchor
     --> releases/a.yaml:1:4
    1 | a: *nowhere
      |    ^
      = define the anchor before, or write the value out
    ");
    insta::assert_snapshot!(wrong_file("%YAML 1.1\n---\na: b\n"), @"
    error: this is not YAML: YAML directives are disallowed
     --> releases/a.yaml:1:1
    1 | %YAML 1.1
      | ^
      = delete the line: YAML directives are not read

    error: `apiVersion` is missing
     --> releases/a.yaml:3:1
    1 | %YAML 1.1
    2 | ---
    3 | a: b
      | ^
      = begin the document with `apiVersion:`

    error: `kind` is missing
     --> releases/a.yaml:3:1
    1 | %YAML 1.1
    2 | ---
    3 | a: b
      | ^
      = begin the document with `kind:`
    ");
    insta::assert_snapshot!(wrong_file("a: b\n c: d\n"), @"
    error: this is not YAML: mapping values are not allowed in this context
     --> releases/a.yaml:2:3
    1 | a: b
    2 |  c: d
      |   ^
      = mend the YAML here, or in the line before
    ");
}

#[test]
fn keys_are_text_and_unique() {
    let text = wrong_after(&[
        ("  minReadySeconds: 5\n", "  minReadySeconds: 5\n  minReadySeconds: 6\n"),
        ("        env:\n", "        8080: x\n        on: x\n        env:\n"),
    ]);
    insta::assert_snapshot!(text, @r#"
    error: the key `minReadySeconds` stands twice in the same map
      --> releases/shop/checkout.yaml:22:3
    20 |   replicas: 10
    21 |   minReadySeconds: 5
    22 |   minReadySeconds: 6
       |   ^
       = delete one of the two

    error: the key `8080` is not text
      --> releases/shop/checkout.yaml:30:9
    28 |       - name: checkout
    29 |         image: shop/checkout:2.4.1
    30 |         8080: x
       |         ^
       = quote it: "8080"

    error: `on` is true for YAML 1.1 and text for YAML 1.2
      --> releases/shop/checkout.yaml:31:9
    29 |         image: shop/checkout:2.4.1
    30 |         8080: x
    31 |         on: x
       |         ^
       = write true, or "on" if text is meant
    "#);
    insta::assert_snapshot!(wrong_file("? [a]\n: b\n"), @"
    error: a key of a map must be text
     --> releases/a.yaml:1:3
    1 | ? [a]
      |   ^
      = write a word before the colon
    ");
    insta::assert_snapshot!(wrong_file("a: &x {b: c}\n*x : d\n"), @"
    error: a key of a map must be text
     --> releases/a.yaml:2:1
    1 | a: &x {b: c}
    2 | *x : d
      | ^
      = write the key out
    ");
}

#[test]
fn scalars_that_yaml_1_1_reads_differently_are_refused() {
    let text = wrong_after(&[
        ("value: \"0.50\"", "value: yes"),
        ("  minReadySeconds: 5\n", "  minReadySeconds: 010\n"),
        ("targetPort: 8080", "targetPort: 8_080"),
        ("memory: 64Mi", "memory: .inf"),
    ]);
    insta::assert_snapshot!(text, @r#"
    error: a number that begins with 0 is octal for YAML 1.1 and text for YAML 1.2
      --> releases/shop/checkout.yaml:21:20
    19 | spec:
    20 |   replicas: 10
    21 |   minReadySeconds: 010
       |                    ^
       = write 8, or "010" if text is meant

    error: `yes` is true for YAML 1.1 and text for YAML 1.2
      --> releases/shop/checkout.yaml:30:33
    28 |         image: shop/checkout:2.4.1
    29 |         env:
    30 |         - { name: RATIO, value: yes }
       |                                 ^
       = write true, or "yes" if text is meant

    error: `.inf` is a number that JSON does not have
      --> releases/shop/checkout.yaml:31:50
    29 |         env:
    30 |         - { name: RATIO, value: yes }
    31 |         resources: { limits: { cpu: 0.5, memory: .inf } }
       |                                                  ^
       = quote it

    error: digits with `_` between them are a number for YAML 1.1 and text for YAML 1.2
      --> releases/shop/checkout.yaml:39:35
    37 | spec:
    38 |   selector: { app: checkout }
    39 |   ports: [{ port: 80, targetPort: 8_080 }]
       |                                   ^
       = leave the `_` out, or quote it
    "#);
}

#[test]
fn tags_and_merge_keys_are_refused() {
    insta::assert_snapshot!(wrong_after(&[("value: \"0.50\"", "value: !!str 0.50")]), @"
    error: tags are not read
      --> releases/shop/checkout.yaml:30:39
    28 |         image: shop/checkout:2.4.1
    29 |         env:
    30 |         - { name: RATIO, value: !!str 0.50 }
       |                                       ^
       = delete the tag; quote what is meant as text
    ");
    insta::assert_snapshot!(wrong_file("a: !thing { b: c }\n"), @"
    error: tags are not read
     --> releases/a.yaml:1:11
    1 | a: !thing { b: c }
      |           ^
      = delete the tag
    ");
    let text = wrong_after(&[(
        "metadata: { labels: { app: checkout } }",
        "metadata: { labels: { <<: { app: checkout } } }",
    )]);
    insta::assert_snapshot!(text, @"
    error: the selector wants `app: checkout`, and the template has no such label
      --> releases/shop/checkout.yaml:22:30
    20 |   replicas: 10
    21 |   minReadySeconds: 5
    22 |   selector: { matchLabels: { app: checkout } }
       |                              ^
       = write the same label under `spec.template.metadata.labels`

    error: merge keys (`<<`) are not read
      --> releases/shop/checkout.yaml:24:27
    22 |   selector: { matchLabels: { app: checkout } }
    23 |   template:
    24 |     metadata: { labels: { <<: { app: checkout } } }
       |                           ^
       = write the fields out
    "
    );
}

#[test]
fn anchors_and_aliases_are_read() {
    let text = CHECKOUT
        .replace(
            "selector: { matchLabels: { app: checkout } }",
            "selector: { matchLabels: &labels { app: checkout } }",
        )
        .replace("metadata: { labels: { app: checkout } }", "metadata: { labels: *labels }");
    assert_ne!(text, CHECKOUT);
    assert_eq!(wrong(&[("releases/a.yaml", &text)]), "");
}

#[test]
fn an_alias_of_itself_is_refused() {
    insta::assert_snapshot!(wrong_file("a: &x [*x]\n"), @"
    error: the alias stands for a value that contains it
     --> releases/a.yaml:1:8
    1 | a: &x [*x]
      |        ^
      = write the value out
    ");
}

#[test]
fn bombs_are_refused_soon() {
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, below) in "bcdefghij".chars().zip("abcdefghi".chars()) {
        let _ = writeln!(laughs, "{name}: &{name} [{}]", vec![format!("*{below}"); 9].join(", "));
    }
    insta::assert_snapshot!(wrong_file(&laughs), @"
    error: the file has more than 200000 values, aliases written out
     --> releases/a.yaml:6:8
    4 | d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]
    5 | e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]
    6 | f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]
      |        ^
      = split it, or use fewer aliases
    ");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 10_000].join(", "));
    assert!(wrong_file(&long).contains("more than 200000 values"));
    for deep in ["[".repeat(100_000), "{a: ".repeat(10_000), "- ".repeat(100_000)] {
        assert!(wrong_file(&deep).starts_with("error:"));
    }
    let mut deep_alias = "a: &a [x]\n".to_owned();
    for (name, below) in "bcdefghijklmnopqrstuvwxyz".chars().zip("abcdefghijklmnopqrstuvwxy".chars()) {
        let _ = writeln!(deep_alias, "{name}: &{name} [[[*{below}]]]");
    }
    assert!(wrong_file(&deep_alias).contains("nested more than 64 deep"));
}

#[test]
fn a_file_that_is_too_large_or_has_too_many_documents_is_refused() {
    insta::assert_snapshot!(wrong_file(&"#".repeat(1024 * 1024 + 1)), @"
    error: the file has 1048577 bytes; at most 1048576 are read
     --> releases/a.yaml
      = split it
    ");
    let many = "a: b\n---\n".repeat(300);
    assert!(wrong_file(&many).contains("the file has more than 256 documents"));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    insta::assert_snapshot!(wrong_bytes(b"a: b\nc: \xff\n"), @"
    error: the file is not UTF-8: byte 0xff has no meaning here
     --> releases/a.yaml:2:4
      = save it as UTF-8
    ");
    insta::assert_snapshot!(wrong_bytes(b"\xff\xfea\0"), @"
    error: the file is UTF-16
     --> releases/a.yaml
      = save it as UTF-8
    ");
    insta::assert_snapshot!(wrong_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), @"
    error: this is a pointer of Git LFS, not the file
     --> releases/a.yaml
      = commit the file itself: `git lfs untrack` it
    ");
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_do_no_harm() {
    let text = format!("\u{feff}{}", CHECKOUT.replace('\n', "\r\n"));
    let (plain, windows) = (read(&[("releases/a.yaml", CHECKOUT)]), read(&[("releases/a.yaml", &text)]));
    assert_eq!(windows.diagnostics, []);
    assert_eq!(plain.releases, windows.releases);
}

#[test]
fn a_snippet_shows_no_control_characters_and_no_endless_lines() {
    let line = format!("kind: {}\u{1b}[31m{}", "x".repeat(300), "y".repeat(300));
    let text = wrong_file(&format!("apiVersion: v1\n{line}\n"));
    assert!(text.lines().all(|line| line.chars().count() < 200), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_file_with_more_mistakes_than_anyone_reads_tells_of_a_hundred() {
    let fields: String = (0..1_000).map(|number| format!("field{number}: x\n")).collect();
    let text = format!("apiVersion: triton.io/v1\nkind: Release\n{fields}");
    assert_eq!(
        read(&[("releases/a.yaml", &text)]).diagnostics.len(),
        101,
        "and the CloneSet that is missing"
    );
}
