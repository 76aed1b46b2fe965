//! Matches: requests of testers, which reach the pods of a new version at any weight.

use serde_json::Value;

use crate::objects::Kind;
use crate::spec::node::{Node, Spot, Tree};
use crate::spec::read::Fields;
use crate::spec::release::{Criterion, Match, Strategy};
use crate::spec::report::{Report, quote};

/// Most matches of a strategy: each is one more for every match of a rule that leads to the release.
pub const MATCHES_MAX: usize = 8;
/// Most headers, and most parameters of the query, of one match (Gateway API, `HTTPRouteMatch`).
pub const CRITERIA_MAX: usize = 16;
/// Most rules of a route (Gateway API, `HTTPRouteSpec`, `GRPCRouteSpec`).
const RULES_MAX: usize = 16;
/// Most matches of a rule (Gateway API, `HTTPRouteRule`, `GRPCRouteRule`).
const RULE_MATCHES_MAX: usize = 64;
/// Most matches of all rules of a route (Gateway API, the validation of `rules`).
const ROUTE_MATCHES_MAX: usize = 128;
/// Longest name of a header or a parameter (Gateway API, `HeaderName`).
const NAME_MAX: usize = 256;
/// Longest value of a header (Gateway API, `HTTPHeaderMatch`).
const HEADER_MAX: usize = 4096;
/// Longest value of a parameter (Gateway API, `HTTPQueryParamMatch`).
const PARAMETER_MAX: usize = 1024;
/// Signs that a name may have beside letters and digits (RFC 9110, 5.6.2, `tchar`).
const SIGNS: &str = "!#$%&'*+-.^_`|~";

/// What is compared of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    /// The field that says it (Gateway API, `HTTPRouteMatch`).
    pub field: &'static str,
    /// Its longest value, in characters.
    longest: usize,
}

const HEADERS: Of = Of { field: "headers", longest: HEADER_MAX };
const QUERY: Of = Of { field: "queryParams", longest: PARAMETER_MAX };

impl Of {
    /// Whether two names are of the same: those of headers whatever the case of their letters (RFC 9110, 5.1).
    fn same(self, one: &str, other: &str) -> bool {
        if self == HEADERS { one.eq_ignore_ascii_case(other) } else { one == other }
    }
}

/// Reads `matches`, and where each stands.
pub fn read(list: &Node, path: &str, report: &mut Report) -> Vec<(Match, Spot)> {
    let Tree::List(items) = &list.tree else {
        let message = format!("`{path}` must be a list, not {}", list.what());
        report.error(list.at, message, "write `- headers: [{ name: x-tester, value: \"yes\" }]` below it");
        return Vec::new();
    };
    if items.is_empty() {
        report.error(list.at, format!("`{path}` has no match"), "write one, or delete the line");
    }
    if items.len() > MATCHES_MAX {
        let message = format!("`{path}` has more than {MATCHES_MAX} matches");
        report.error(items[MATCHES_MAX].at, message, "use fewer, as one header that all testers send");
        return Vec::new();
    }
    let mut matches: Vec<(Match, Spot)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut own = Report::default();
        let read = one(item, &path, &mut own).filter(|_| !own.has_errors());
        report.append(own);
        let Some(read) = read else { continue };
        if matches.iter().any(|(known, _)| *known == read) {
            report.error(item.at, format!("`{path}` is there twice"), "delete one of them");
        }
        matches.push((read, item.at));
    }
    matches
}

fn one(node: &Node, path: &str, report: &mut Report) -> Option<Match> {
    let fields = Fields::open(node, path, &[HEADERS.field, QUERY.field], report)?;
    let headers = criteria(HEADERS, &fields, report);
    let query = criteria(QUERY, &fields, report);
    if fields.key_at(HEADERS.field).is_none() && fields.key_at(QUERY.field).is_none() {
        let message = format!("`{path}` matches every request: all traffic would go to the new version");
        report.error(node.at, message, "write `headers` or `queryParams` that only testers send");
    }
    Some(Match { headers, query })
}

fn criteria(of: Of, fields: &Fields<'_>, report: &mut Report) -> Vec<Criterion> {
    let path = fields.path_of(of.field);
    let Some(list) = fields.get(of.field, report) else { return Vec::new() };
    let Tree::List(items) = &list.tree else {
        let message = format!("`{path}` must be a list, not {}", list.what());
        report.error(list.at, message, "write `- { name: x-tester, value: \"yes\" }` below it");
        return Vec::new();
    };
    if items.is_empty() {
        report.error(list.at, format!("`{path}` matches every request"), "write one, or delete the line");
    }
    if items.len() > CRITERIA_MAX {
        let message = format!("`{path}` has more than {CRITERIA_MAX}: the Gateway API takes no more");
        report.error(items[CRITERIA_MAX].at, message, "use fewer");
        return Vec::new();
    }
    let mut criteria: Vec<Criterion> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(read) = criterion(of, item, &path, report) else { continue };
        if criteria.iter().any(|known| of.same(&known.name, &read.name)) {
            let message = format!("`{path}` names `{}` a second time", quote(&read.name));
            report.error(
                item.at,
                message,
                "all of a match have to fit: name each once, or write two matches",
            );
        }
        criteria.push(read);
    }
    criteria
}

fn criterion(of: Of, node: &Node, path: &str, report: &mut Report) -> Option<Criterion> {
    let fields = Fields::open(node, path, &["name", "value", "type"], report)?;
    let types = [("Exact", false), ("RegularExpression", true)];
    let is_typed = fields.key_at("type").is_some();
    let regular = if is_typed { fields.word("type", &types, report)? } else { false };
    let mut text = |key: &str, longest: usize| {
        let text = fields.need(key, report).and_then(|_| fields.text(key, report))?;
        if text.is_empty() || text.chars().count() > longest {
            let message = format!("`{}` must have 1 to {longest} characters", fields.path_of(key));
            let at = fields.key_at(key).unwrap_or(fields.at());
            report.error(at, message, "write such a text");
            return None;
        }
        Some(text.to_owned())
    };
    let (name, value) = (text("name", NAME_MAX), text("value", of.longest));
    let (name, value) = (name?, value?);
    let odd = name.chars().find(|it| !it.is_ascii_alphanumeric() && !SIGNS.contains(*it));
    if let Some(odd) = odd {
        let message =
            format!("`{}` has `{}`, which no name can have", fields.path_of("name"), quote(&odd.to_string()));
        let at = fields.key_at("name").unwrap_or(fields.at());
        report.error(at, message, format!("write letters, digits and {SIGNS}"));
    }
    if let Some(why) = broken(&value).filter(|_| regular) {
        let message = format!("`{}` is no regular expression: {why}", fields.path_of("value"));
        let at = fields.key_at("value").unwrap_or(fields.at());
        report.error(at, message, "mend it, or write `type: Exact`");
    }
    Some(Criterion { name, value, regular })
}

/// What no dialect of regular expressions takes; the rest is the gateway's to say, for each has its own.
fn broken(value: &str) -> Option<&'static str> {
    let (mut open, mut class, mut signs) = (0_u32, false, value.chars());
    while let Some(sign) = signs.next() {
        match sign {
            '\\' if signs.next().is_none() => return Some("it ends with a single backslash"),
            '[' if !class => class = true,
            ']' if class => class = false,
            '(' if !class => open += 1,
            ')' if !class => match open.checked_sub(1) {
                Some(left) => open = left,
                None => return Some("a `)` closes nothing"),
            },
            _ => {}
        }
    }
    let repeats = value.starts_with(['*', '+', '?']).then_some("it repeats nothing at its beginning");
    let unclosed = match (class, open) {
        (true, _) => Some("a `[` is not closed"),
        (false, 1..) => Some("a `(` is not closed"),
        (false, 0) => None,
    };
    unclosed.or(repeats)
}

/// Checks the matches of a strategy with its routes. `matches_at`: where each stands.
pub fn check(strategy: &Strategy, matches_at: &[Spot], path: &str, report: &mut Report) {
    if let (Some(at), true) = (matches_at.first(), strategy.routes.is_empty()) {
        let message = format!("matches lead testers by routes, and `{path}.routes` names none");
        let cure = "add `routes: [NAME]`, with the name of an HTTPRoute, GRPCRoute or Ingress of the release";
        report.error(*at, message, cure);
    }
}

/// Whether a rule, or a backend of it, puts something in place of the prefix that matched.
fn rewrites_prefix(rule: &Value) -> bool {
    let list = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let backends = list(rule, "backendRefs");
    let mut filters =
        list(rule, "filters").into_iter().chain(backends.iter().flat_map(|it| list(it, "filters")));
    filters.any(|it| it["urlRewrite"]["path"]["type"] == "ReplacePrefixMatch")
}

/// Why a route cannot have the rules of these testers beside its own, and what to do. `leads`: whether a rule leads to the
/// release.
#[must_use]
pub fn misfit(
    kind: Kind,
    route: &Value,
    leads: impl Fn(&&Value) -> bool + Copy,
    matches: &[Match],
) -> Option<(String, String)> {
    let all = || route.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    if matches.is_empty() {
        return None;
    }
    let own = |rule: &Value| rule["matches"].as_array().map_or(1, Vec::len).max(1);
    let rules = all().count() + all().filter(leads).count();
    let longest = all().filter(leads).map(|rule| own(rule) * matches.len()).max().unwrap_or(0);
    let whole = all().map(own).sum::<usize>()
        + all().filter(leads).map(|rule| own(rule) * matches.len()).sum::<usize>();
    let limits = [
        (rules, RULES_MAX, "rules"),
        (longest, RULE_MATCHES_MAX, "matches in one rule"),
        (whole, ROUTE_MATCHES_MAX, "matches"),
    ];
    if let Some((count, most, what)) = limits.into_iter().find(|(count, most, _)| count > most) {
        let message =
            format!("would have {count} {what} with those of testers, and the Gateway API takes {most}");
        return Some((message, "use fewer in it, or fewer `matches` in the strategy".to_owned()));
    }
    // Source: the validation of `HTTPRouteRule`, which takes one match beside ReplacePrefixMatch.
    if matches.len() > 1 && all().filter(leads).any(rewrites_prefix) {
        let message = "rewrites a prefix, where the Gateway API takes one match in a rule".to_owned();
        return Some((message, "write one match in `matches`, that all testers fit".to_owned()));
    }
    let own: Vec<&Value> =
        all().filter(leads).flat_map(|rule| rule["matches"].as_array().into_iter().flatten()).collect();
    for (of, asked) in matches.iter().flat_map(Match::asked) {
        if kind == Kind::GrpcRoute && of == QUERY && !asked.is_empty() {
            let message = "has no `queryParams`, which `matches` asks for".to_owned();
            return Some((message, "match testers by `headers`".to_owned()));
        }
        for criterion in asked {
            let also = own.iter().flat_map(|it| it[of.field].as_array().into_iter().flatten());
            let mut also = also.filter(|it| criterion.names(of, it));
            if also.any(|it| !criterion.is(of, it)) {
                let message = format!(
                    "matches `{}` itself in `{}`: testers could not have both values",
                    quote(&criterion.name),
                    of.field
                );
                return Some((message, "match testers by another name".to_owned()));
            }
        }
        let most = own.iter().map(|it| it[of.field].as_array().map_or(0, Vec::len)).max().unwrap_or(0);
        if most + asked.len() > CRITERIA_MAX {
            let message = format!(
                "would have more than {CRITERIA_MAX} `{}` in one match with those of testers",
                of.field
            );
            return Some((message, "match testers by fewer".to_owned()));
        }
    }
    None
}

impl Match {
    /// All that a request has to fit.
    #[must_use]
    pub fn asked(&self) -> [(Of, &[Criterion]); 2] {
        [(HEADERS, &self.headers), (QUERY, &self.query)]
    }

    /// Whether a match of a route asks for all of it.
    #[must_use]
    pub fn is_in(&self, written: &Value) -> bool {
        let has = |of: Of, one: &Criterion| {
            written[of.field].as_array().into_iter().flatten().any(|it| one.is(of, it))
        };
        self.asked().into_iter().all(|(of, all)| all.iter().all(|one| has(of, one)))
    }
}

impl Criterion {
    /// Whether a criterion of a route is of the same header or parameter.
    fn names(&self, of: Of, written: &Value) -> bool {
        written["name"].as_str().is_some_and(|name| of.same(name, &self.name))
    }

    /// Whether a criterion of a route says the same.
    #[must_use]
    pub fn is(&self, of: Of, written: &Value) -> bool {
        let regular = written["type"].as_str().unwrap_or("Exact") == "RegularExpression";
        self.names(of, written) && written["value"] == *self.value && regular == self.regular
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_dialect_refuses_is_no_regular_expression() {
        for wrong in ["(a", "a)", "[a", "a\\", "*a", "+", "(a[)])("] {
            assert!(broken(wrong).is_some(), "{wrong}");
        }
        for right in ["a", "(a|b)+", "[(]", "\\(", "^beta-[0-9]+$", "[a\\]]", "(?i)yes", "a\\\\"] {
            assert_eq!(broken(right), None, "{right}");
        }
    }
}
