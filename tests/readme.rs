//! The README says what is so.

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_explains_every_hold() {
    let schema = schemars::schema_for!(triton::model::Gate);
    let gates: Vec<&str> = schema.as_value()["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["const"].as_str().unwrap())
        .collect();
    assert!(gates.len() >= 20, "{gates:?}");
    for gate in gates {
        assert!(README.contains(&format!("\n| `{gate}` |")), "the README does not explain `{gate}`");
    }
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.contains("://")) {
        assert!(top.join(target).exists(), "{target}");
    }
}

#[test]
fn the_configuration_that_the_readme_shows_is_read_with_and_without_its_comments() {
    let mut blocks = README.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown = blocks.find(|block| block.contains("kind: Configuration")).unwrap();
    let read = |text: &str| triton::spec::configuration::read_configuration("README.md", text.as_bytes());
    let configuration = read(shown).unwrap();
    assert_eq!(configuration.git.token_file.as_deref(), Some("/etc/triton/token"));
    assert_eq!(configuration.people.unwrap().bots.len(), 2);
    let bare = |line: &str| line.strip_prefix("  # ").map_or(line.to_owned(), |field| format!("  {field}"));
    let ssh: Vec<String> = shown.lines().filter(|line| !line.contains("tokenFile")).map(bare).collect();
    let git = read(&ssh.join("\n")).unwrap().git;
    let files = [git.username_file, git.password_file, git.ca_file, git.ssh_key_file, git.known_hosts_file];
    assert!(files.iter().all(Option::is_some) && git.accept_head.is_some(), "{files:?}");
    // What the comments call the default is the default.
    let plain = read("apiVersion: triton.io/v1\nkind: Configuration\n").unwrap();
    let told = (configuration.skip, configuration.proven_depth);
    assert_eq!(told, (plain.skip, plain.proven_depth));
    let told = (configuration.removal_releases, configuration.removal_percent);
    assert_eq!(told, (plain.removal_releases, plain.removal_percent));
}

#[test]
fn the_repository_file_that_the_readme_shows_is_read() {
    let mut blocks = README.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown = blocks.find(|block| block.contains("kind: Repository")).unwrap();
    let read = triton::spec::parse_repository(shown.as_bytes());
    assert!(read.diagnostics("triton.yaml").is_empty(), "{:?}", read.diagnostics("triton.yaml"));
    let bare = triton::spec::parse_repository(b"apiVersion: triton.io/v1\nkind: Repository\n");
    assert!(bare.diagnostics("triton.yaml").is_empty(), "its spec may be left out");
}
