//! What must hold of any bytes as a page.

use sidelong::batch::{Key, LabelSource};
use sidelong::wire::exposition::{Format, Page, PageLimits, Syntax};

/// Reads `bytes` whole, in pieces, and by recall: no panic, labels are UTF-8, and all three agree.
pub fn check(syntax: Syntax, bytes: &[u8]) {
    let mut page = Page::new();
    let whole = read(syntax, &[bytes], Vec::new(), &mut page);
    let (front, back) = bytes.split_at(bytes.len() / 3);
    assert_eq!(whole, read(syntax, &[front, back], Vec::new(), &mut page));
    let keys = page.series_keys();
    assert_eq!(whole, read(syntax, &[bytes], keys, &mut page));
}

/// All that a page tells, as text.
fn read(syntax: Syntax, chunks: &[&[u8]], keys: Vec<Key>, page: &mut Page) -> String {
    let limits = PageLimits { body_size: 1 << 20, samples: 1 << 12 };
    page.start(Format { syntax, utf8_names: true }, limits, 7, 1);
    page.recall(keys);
    let result = chunks.iter().try_for_each(|chunk| page.push(chunk)).and_then(|()| page.finish());
    let mut told = format!("{result:?} {:?} {:?}", page.stats(), page.batch());
    for span in &page.batch().series {
        page.for_each_label(&span.labels, &mut |name, value| {
            told += std::str::from_utf8(name).expect("labels are UTF-8");
            told += std::str::from_utf8(value).expect("labels are UTF-8");
        });
    }
    told
}
