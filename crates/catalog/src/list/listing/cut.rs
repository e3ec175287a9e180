//! Cuts an entry to the wanted fields.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::list::write::put;

/// Writes those fields of a job that are wanted, in the order in which it has them.
pub(super) fn put_fields(answer: &mut Vec<u8>, json: &[u8], fields: &[&'static str]) {
    answer.push(b'{');
    let wanted = WantedFields { answer, fields };
    wanted.deserialize(&mut serde_json::Deserializer::from_slice(json)).expect("it was read before");
    answer.push(b'}');
}

/// Reads an object and writes the fields that are wanted of it, values as they are.
struct WantedFields<'a> {
    answer: &'a mut Vec<u8>,
    fields: &'a [&'static str],
}

impl<'de> DeserializeSeed<'de> for WantedFields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WantedFields<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_first = true;
        while let Some(name) = map.next_key_seed(FieldName(self.fields))? {
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if !is_first {
                self.answer.push(b',');
            }
            is_first = false;
            put(self.answer, name);
            self.answer.push(b':');
            self.answer.extend_from_slice(map.next_value::<&RawValue>()?.get().as_bytes());
        }
        Ok(())
    }
}

/// Reads a field's name, if it is one of these.
struct FieldName<'a>(&'a [&'static str]);

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<&'static str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|wanted| *wanted == name))
    }
}
