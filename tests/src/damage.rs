//! Wrong fields in files of the codec of recordings.

use surmise::ir::generate::Random;
use surmise::record::codec::{put_record, take_record};

/// One byte of one record to an extreme or anything, or a record dropped, doubled or moved.
pub fn damage(random: &mut Random, raw: &mut Vec<u8>) {
    let mut records = Vec::new();
    let mut rest = &raw[..];
    while !rest.is_empty() {
        let Ok((kind, bytes)) = take_record(&mut rest) else { break };
        records.push((kind, bytes.to_vec()));
    }
    let at = random.below(records.len());
    match random.below(8) {
        0 => drop(records.remove(at)),
        1 => records.push(records[at].clone()),
        2 => {
            let record = records.remove(at);
            records.push(record);
        }
        3 => records[at].0 = random.below(16) as u8,
        4 => {
            let length = records[at].1.len();
            records[at].1.truncate(random.below(length + 1));
        }
        _ => {
            let bytes = &mut records[at].1;
            if !bytes.is_empty() {
                let place = random.below(bytes.len());
                // Extremes of one byte, and bincode's marks for longer numbers.
                let extremes =
                    [0, 1, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, bytes[place].wrapping_add(1)];
                bytes[place] = extremes[random.below(extremes.len())];
            }
        }
    }
    raw.clear();
    for (kind, bytes) in records {
        put_record(raw, kind, &bytes);
    }
}
