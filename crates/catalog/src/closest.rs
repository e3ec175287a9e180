//! Which known names are nearest to one that is not known: what a person may have meant.

/// Names further away than this share of their length are no help.
const FAR: f64 = 0.5;

/// The `most` known names that are nearest to `name`, the nearest first. Time grows with the number of known names
/// times the square of their length; those that are twice as long or half as long are passed over.
pub fn closest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>, most: usize) -> Vec<&'n str> {
    let lower = name.to_lowercase();
    let mut near: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (similarity(&lower, &known.to_lowercase()), known))
        .filter(|(similarity, _)| *similarity >= FAR)
        .collect();
    near.sort_by(|(one, one_name), (other, other_name)| other.total_cmp(one).then_with(|| one_name.cmp(other_name)));
    near.truncate(most);
    near.into_iter().map(|(_, name)| name).collect()
}

/// The share of letters that need not be changed, added, left out or exchanged with their neighbour: 1 for the same name.
#[allow(clippy::cast_precision_loss, reason = "names are short")]
fn similarity(one: &str, other: &str) -> f64 {
    let (one_length, other_length) = (one.chars().count(), other.chars().count());
    let longer = one_length.max(other_length);
    if longer == 0 || (one_length.min(other_length) as f64) < longer as f64 * FAR {
        return 0.0;
    }
    1.0 - strsim::osa_distance(one, other) as f64 / longer as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first_whatever_its_case() {
        let known = ["mozilla-beta", "mozilla-central", "mozilla-inbound", "try"];
        assert_eq!(closest("Mozilla-Centrl", known, 2), ["mozilla-central", "mozilla-beta"]);
        assert_eq!(closest("ty", known, 3), ["try"]);
    }

    #[test]
    fn names_that_are_nothing_like_it_are_not_told() {
        assert!(closest("servo", ["mozilla-central", "try"], 3).is_empty());
        assert!(closest("try", [], 3).is_empty());
    }
}
