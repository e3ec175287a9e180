//! Whether the nearest name is found among very many, and what that costs at most.

use catalog::suggest::{Index, SearchBudget, normal_form};
use strsim::damerau_levenshtein;
use test_support::typing::{Typist, names};

const NAMES: usize = 30_000;
const ASKED: usize = 400;
/// The cells of the distance table that finding the nearest of 30,000 names with one or two errors takes at most. A cell
/// takes some five nanoseconds.
const CELLS: u64 = 12_000;

/// How often each letter stands in a name.
fn letters(name: &str) -> [i16; 64] {
    let mut counts = [0; 64];
    name.bytes().for_each(|byte| counts[usize::from(byte % 64)] += 1);
    counts
}

/// The fewest errors that any of these names has, up to `max`: by comparing all that can have fewer.
fn fewest_errors(name: &str, known: &[(String, [i16; 64])], max: usize) -> usize {
    let asked = letters(name);
    let mut fewest = max;
    for (known, letters) in known {
        // An error makes a letter more, a letter less, or both.
        let differences = letters.iter().zip(asked).map(|(one, other)| one - other);
        let (more, less) = differences.fold((0, 0), |(more, less), by| (more + by.max(0), less - by.min(0)));
        if usize::try_from(more.max(less)).is_ok_and(|at_least| at_least < fewest) {
            fewest = fewest.min(damerau_levenshtein(name, known));
        }
    }
    fewest
}

#[test]
fn the_nearest_of_many_names_is_found_with_one_or_two_errors() {
    let known = names(NAMES);
    let forms: Vec<(String, [i16; 64])> =
        known.iter().map(|name| normal_form(name)).map(|form| (form.clone(), letters(&form))).collect();
    let index = Index::new(known.iter().map(String::as_str));
    let mut typist = Typist(12);
    for errors in [1, 2] {
        let (mut right, mut dearest) = (0, 0);
        for _ in 0..ASKED {
            let name = &known[typist.roll(known.len())];
            let asked = typist.type_name(name, errors);
            let form = normal_form(&asked);
            let mut budget = SearchBudget::default();
            let found = index.suggest(&asked, 1, &mut budget).pop();
            let distance = found.map_or(usize::MAX, |place| damerau_levenshtein(&form, &forms[place].0));
            right += usize::from(distance == fewest_errors(&form, &forms, distance.min(errors + 1)));
            dearest = dearest.max(budget.spent());
        }
        assert!(right * 100 >= ASKED * 99, "{right} of {ASKED} with {errors} errors");
        assert!(dearest <= CELLS, "{dearest} cells");
    }
}

#[test]
fn no_search_exceeds_its_budget() {
    let known = names(NAMES);
    let index = Index::new(known.iter().map(String::as_str));
    let mut typist = Typist(13);
    let mut asked =
        |make: &mut dyn FnMut(&mut Typist) -> String| -> Vec<String> { (0..1000).map(|_| make(&mut typist)).collect() };
    let name = |typist: &mut Typist| known[typist.roll(known.len())].as_str();
    for (what, names) in [
        ("of one letter", asked(&mut |typist| "a".repeat(1 + typist.roll(1000)))),
        ("of another project", asked(&mut |typist| name(typist).replace(" try ", " some-other-project "))),
        ("with many errors", asked(&mut |typist| typist.type_name(known[7].as_str(), 12))),
        (
            "with an error in each word",
            asked(&mut |typist| name(typist).split(' ').map(|word| typist.type_name(&format!("{word} "), 1)).collect()),
        ),
        ("that are two", asked(&mut |typist| format!("{} {}", name(typist), name(typist)))),
        (
            "of the words of many",
            asked(&mut |typist| {
                (0..120).map(|_| name(typist).split(' ').next_back().unwrap_or_default()).collect::<Vec<_>>().join(" ")
            }),
        ),
    ] {
        let mut budget = SearchBudget::default();
        let (mut dearest, mut before) = (0, 0);
        for name in &names {
            assert!(index.suggest(name, 3, &mut budget).len() <= 3);
            dearest = dearest.max(budget.spent() - before);
            before = budget.spent();
        }
        // What is near takes some hundred cells a name; all that is further shares two and a half million.
        assert!(budget.spent() <= 4_000_000, "names {what}: {} cells", budget.spent());
        assert!(dearest <= 500_000 + CELLS, "names {what}: {dearest} cells for one");
    }
}
