//! What a series keeps of the board.

use super::board::{Board, Context};
use super::calendar::Stretch;
use super::effect::Effect;

/// The contexts that are for one series. Nothing lies apart where none is.
#[derive(Debug, Default)]
pub struct Attached {
    /// Which board it was asked of.
    generation: u32,
    some: Option<Box<Attachment>>,
}

/// The contexts of a series that has some.
#[derive(Debug)]
struct Attachment {
    /// Their places on the board.
    places: Box<[u16]>,
    /// What they do from when to when: until the next change of any of them.
    effect: Option<Effect>,
    known: Stretch,
}

// === impl Attached ===

impl Attached {
    /// Whether it is to be asked of `board` which contexts are for the series.
    #[inline]
    pub fn is_outdated(&self, board: &Board) -> bool {
        self.generation != board.generation
    }

    /// Asks `board` which contexts are for the series of these labels.
    pub fn attach(&mut self, board: &Board, labels: &[(&str, &str)]) {
        let places = board.places_for(labels);
        let nothing = Stretch { from_ms: 0, until_ms: 0 };
        let some = || Box::new(Attachment { places, effect: None, known: nothing });
        *self = Self { generation: board.generation, some: None };
        self.some = Some(some()).filter(|some| !some.places.is_empty());
    }

    /// What is done with a score of `at_ms`, by the board that was asked last.
    #[inline]
    pub fn effect_at(&mut self, board: &Board, at_ms: i64) -> Option<Effect> {
        let some = self.some.as_mut()?;
        if !some.known.holds(at_ms) {
            some.look_up(board, at_ms);
        }
        some.effect
    }

    /// The context by which [`Self::effect_at`] says what it says.
    pub fn deciding<'a>(&self, board: &'a Board, at_ms: i64) -> Option<&'a Context> {
        let some = self.some.as_ref()?;
        let mut contexts = some.places.iter().filter_map(|place| board.context(*place));
        contexts.find(|context| Some(context.effect) == some.effect && context.calendar.at(at_ms).is_open)
    }
}

// === impl Attachment ===

impl Attachment {
    #[cold]
    fn look_up(&mut self, board: &Board, at_ms: i64) {
        self.effect = None;
        self.known = Stretch { from_ms: i64::MIN, until_ms: i64::MAX };
        for context in self.places.iter().filter_map(|place| board.context(*place)) {
            let moment = context.calendar.at(at_ms);
            self.known = self.known.within(moment.known);
            self.effect = self.effect.max(Some(context.effect).filter(|_| moment.is_open));
        }
    }
}
