//! Series and their newest values, side by side in memory.

/// Series by their number.
#[derive(Debug, Default)]
pub(super) struct Stock {
    /// Labels, each text with its length before it.
    text: Vec<u8>,
    entries: Vec<Entry>,
}

/// One series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    start: usize,
    end: usize,
    /// Its newest value.
    pub(super) value: f64,
    /// Whether its samples are native histograms.
    pub(super) is_histogram: bool,
    /// Whether it counts up.
    pub(super) is_counter: bool,
    /// The rule that decides about it; none for one that only signals are made of.
    pub(super) rule: Option<u16>,
}

// === impl Stock ===

impl Stock {
    /// Keeps a series of these labels.
    pub(super) fn push(
        &mut self,
        labels: &[(&str, &str)],
        value: f64,
        is_histogram: bool,
        is_counter: bool,
        rule: Option<u16>,
    ) {
        let start = self.text.len();
        for text in labels.iter().flat_map(|(name, value)| [name, value]) {
            self.text.extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.text.extend_from_slice(text.as_bytes());
        }
        let end = self.text.len();
        self.entries.push(Entry { start, end, value, is_histogram, is_counter, rule });
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The labels of an entry as bytes, the same for the same labels.
    pub(super) fn spelled(&self, entry: &Entry) -> &[u8] {
        &self.text[entry.start..entry.end]
    }

    /// Calls `each` for every label of the series of this number.
    pub(super) fn for_each_label(&self, number: u32, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut rest = self.entries.get(number as usize).map_or(&[][..], |entry| self.spelled(entry));
        while let Some((name, behind)) = text(rest) {
            let Some((value, behind)) = text(behind) else { return };
            each(name, value);
            rest = behind;
        }
    }
}

/// The first text of `bytes`, and what stands behind it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
