//! Managed fields: from the API server's JSON to what is ours.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use triton::fields::{Ownership, compare, drift, extract};

use crate::generative::{any_text, config, corpus};

/// JSON as a set might be, or might not.
fn wild() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
        Just(json!([1, {"f:a": {}}])),
    ];
    let key = prop_oneof![
        4 => "f:[a-c]",
        1 => Just(".".to_owned()),
        1 => Just(r#"k:{"name":"a"}"#.to_owned()),
        1 => Just("k:{\"name\"".to_owned()),
        1 => Just("k:{}".to_owned()),
        1 => Just("v:\"a\"".to_owned()),
        1 => Just("v:nothing".to_owned()),
        1 => any_text(),
    ];
    leaf.prop_recursive(4, 30, 4, move |inner| {
        prop::collection::btree_map(key.clone(), inner, 0..4)
            .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
    })
}

/// An object of three names, as deep as sets are here.
fn object() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![any::<i8>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from), Just(Value::Null)];
    let inner = leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            3 => prop::collection::btree_map("[a-c]", inner.clone(), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    });
    prop::collection::btree_map("[a-c]", inner, 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>()))
}

fn managed(object: &Value, sets: &[(&str, &str, Value)]) -> Value {
    let entry = |(manager, operation, fields): &(&str, &str, Value)| json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields});
    let mut object = object.clone();
    object["metadata"] = json!({"name": "web", "managedFields": sets.iter().map(entry).collect::<Vec<_>>()});
    object
}

/// A part of the object as a set: maps by their fields, everything else whole.
fn part_of(value: &Value, chance: &mut impl FnMut() -> bool) -> Option<Value> {
    match value {
        Value::Object(fields) if !fields.is_empty() && chance() => {
            let parts = fields
                .iter()
                .filter_map(|(name, value)| Some((format!("f:{name}"), part_of(value, chance)?)));
            let parts: Map<String, Value> = parts.collect();
            (!parts.is_empty()).then_some(Value::Object(parts))
        }
        _ => chance().then(|| json!({})),
    }
}

/// Whether all of `part` stands in `whole`.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|there| is_part(value, there)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.iter().all(|item| whole.iter().any(|there| is_part(item, there)))
        }
        (part, whole) => part == whole,
    }
}

/// What is asked of every object, whatever its managed fields say.
fn check(object: &Value) -> Result<(), TestCaseError> {
    let ownership = Ownership::of(object, "triton");
    let Some(ours) = extract(object, &ownership) else {
        prop_assert!(!ownership.owners().has_ours());
        return Ok(());
    };
    prop_assert!(is_part(&ours, object), "{ours} of {object}");
    prop_assert_eq!(&ownership, &Ownership::of(object, "triton"));
    let _ = drift(&ours, object, &ownership);
    Ok(())
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn whatever_the_sets_are_ours_is_a_part_of_the_object(object in object(), ours in wild(), theirs in wild()) {
        let sets = [("triton", "Apply", ours), ("other", "Update", theirs)];
        check(&managed(&object, &sets))?;
    }

    #[test]
    fn what_somebody_else_writes_there_does_not_change_what_is_ours(object in object(), ours in wild(), theirs in wild()) {
        let alone = managed(&object, &[("triton", "Apply", ours.clone())]);
        let beside = managed(&object, &[("other", "Apply", theirs), ("triton", "Apply", ours)]);
        let of = |object: &Value| extract(object, &Ownership::of(object, "triton"));
        prop_assert_eq!(of(&alone), of(&beside));
    }

    #[test]
    fn what_is_ours_is_there_and_nothing_of_it_has_drifted(object in object(), seed in prop::collection::vec(any::<bool>(), 64)) {
        let mut seed = seed.into_iter().cycle();
        let mut chance = || seed.next().unwrap();
        let set = part_of(&object, &mut chance).unwrap_or_else(|| json!({"f:absent": {}}));
        let object = managed(&object, &[("triton", "Apply", set)]);
        let ownership = Ownership::of(&object, "triton");
        let ours = extract(&object, &ownership).expect("we own something");
        prop_assert!(is_part(&ours, &object));
        prop_assert_eq!(compare(&ours, &object), []);
        prop_assert_eq!(drift(&ours, &object, &ownership), []);
        // Taken out once, it is taken out whole: the part is a part of itself.
        let mut again = ours.clone();
        again["metadata"]["managedFields"] = object["metadata"]["managedFields"].clone();
        prop_assert_eq!(extract(&again, &ownership), Some(ours));
    }
}

#[test]
fn the_kept_objects_are_read() {
    for (name, bytes) in corpus("fields") {
        let object: Value = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(&object).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// A key that cannot be read is nobody's: it must not make every item of a list ours.
#[test]
fn a_key_that_cannot_be_read_owns_nothing() {
    for key in ["k:{", "k:{}", "k:[1]", "v:{", "x:a"] {
        let object = json!({"spec": {"ports": [{"name": "a"}, "a"]}});
        let object = managed(&object, &[("triton", "Apply", json!({"f:spec": {"f:ports": {key: {}}}}))]);
        let ours = extract(&object, &Ownership::of(&object, "triton")).unwrap();
        assert_eq!(ours["spec"]["ports"], json!([]), "{key}");
    }
}
