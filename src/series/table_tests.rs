use super::*;
use crate::series::{ScopeLimits, ScopeName, Scopes, Spelling};

type Labels = [(&'static str, &'static str); 2];

const ANT: Labels = [("__name__", "level"), ("job", "ant")];
const BEE: Labels = [("__name__", "level"), ("job", "bee")];

/// A table, and the tenant whose series are in it.
struct House {
    table: Table,
    scope: Arc<Scope>,
}

// === impl House ===

impl House {
    fn new() -> Self {
        let scope = Scopes::new(7)
            .get(&ScopeName::Tenant("".into()), 0, &ScopeLimits::default())
            .expect("room for one");
        Self { table: Table::default(), scope }
    }

    fn key(&self, spelling: &str) -> Key {
        Key::of(spelling.as_bytes(), self.scope.seed(Spelling::RemoteWrite1))
    }

    fn canonical(&self, labels: &Labels) -> Key {
        self.scope.canonical_key(labels.iter().copied())
    }

    /// What becomes of a series that comes with `labels` under `key`, as the corridor goes about it.
    fn meet(&self, key: Key, labels: &Labels) -> Result<SlotId, Refused> {
        if let Found::Known(id) = self.table.walk(&Cursor::default()).find(&key) {
            return Ok(id);
        }
        let newcomer = Newcomer { scope: &self.scope, key, sorted: labels, now_s: 0 };
        match self.table.recognise(&newcomer)? {
            Some(id) => Ok(id),
            None => self.table.insert(&newcomer, 0, 0).ok_or(Refused::TableFull),
        }
    }

    /// From now on the canonical key of `labels` is that of the series at `id`, as if the two had collided.
    fn collide(&self, labels: &Labels, id: SlotId) {
        self.table.index.insert(self.canonical(labels), id.0);
    }

    fn labels_at(&self, id: SlotId) -> Vec<(String, String)> {
        let mut walk = self.table.walk(&Cursor::default());
        let series = walk.series(id).expect("it is in the table");
        let mut labels: Vec<_> = series.labels.scored().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        labels.sort_unstable();
        labels
    }
}

fn owned(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn labels_whose_canonical_key_is_another_series_are_refused_and_not_mixed_up() {
    let house = House::new();
    let ant = house.meet(house.key("ant"), &ANT).expect("room");
    house.collide(&BEE, ant);
    for spelling in ["bee", "bee, spelled otherwise", "bee"] {
        assert_eq!(house.meet(house.key(spelling), &BEE), Err(Refused::Collision));
    }
    assert_eq!(house.table.len(), 1);
    assert_eq!(house.labels_at(ant), owned(&ANT));
    // The refused one has left no trace: the first is known under its own keys and under no other.
    assert_eq!(house.meet(house.key("ant"), &ANT), Ok(ant));
    assert_eq!(house.meet(house.key("ant, spelled otherwise"), &ANT), Ok(ant));
    assert_eq!(house.table.walk(&Cursor::default()).find(&house.key("bee")), Found::New);
}

#[test]
fn the_refused_of_two_that_collide_has_its_place_when_the_other_is_gone() {
    let house = House::new();
    let ant = house.meet(house.key("ant"), &ANT).expect("room");
    house.collide(&BEE, ant);
    assert_eq!(house.meet(house.key("bee"), &BEE), Err(Refused::Collision));
    assert!(house.table.evict(ant).is_some());
    let bee = house.meet(house.key("bee"), &BEE).expect("nobody is in the way");
    assert_eq!(house.labels_at(bee), owned(&BEE));
}

/// A map spreads keys by one of their words; which series it is, both say.
#[test]
fn keys_that_agree_in_one_word_are_two_series() {
    let house = House::new();
    let ant = house.key("ant");
    for bee in [Key([ant.0[0] ^ 1, ant.0[1]]), Key([ant.0[0], ant.0[1] ^ 1])] {
        let house = House::new();
        let (ant, bee) = (house.meet(ant, &ANT).expect("room"), house.meet(bee, &BEE).expect("room"));
        assert_ne!(ant, bee);
        assert_eq!((house.labels_at(ant), house.labels_at(bee)), (owned(&ANT), owned(&BEE)));
    }
}

/// Labels are not read where the key is known. Of 128 bits under a secret of the process two series would have to
/// agree, and then one of them is taken for the other: what is sent carries the labels of one series, never of two.
#[test]
fn a_known_key_is_trusted_without_a_look_at_its_labels() {
    let house = House::new();
    let key = house.key("ant");
    let ant = house.meet(key, &ANT).expect("room");
    assert_eq!(house.meet(key, &BEE), Ok(ant));
    assert_eq!(house.labels_at(ant), owned(&ANT));
}
