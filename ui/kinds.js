// @ts-check
// What a file is by its first bytes, as package data tells it (data/kind.go): any file's bytes are tokens, but for those that
// people mean otherwise.

/** What to do with a sound that nothing here reads. */
const TO_WAV = "convert it to WAV first, as by ffmpeg -i FILE -c:a pcm_s16le NEW.wav";

/** How the names of sounds end. */
const SOUND_NAMES = /\.(wav|wave|bwf|rf64|flac|ogg|oga|opus|mp3|m4a|aac|aif|aiff|aifc|au|caf|wma|amr|w64)$/i;

/** The beginnings of sounds that nothing here reads. @type {[kind: string, magic: RegExp][]} */
const SOUNDS = [
  ["FLAC", /^fLaC/], ["Ogg", /^OggS/], ["AU", /^\.snd\0\0/], ["CAF", /^caff\0/], ["AMR", /^#!AMR/], ["WMA", /^\x30\x26\xb2\x75\x8e\x66\xcf\x11/],
  ["Wave64", /^riff\x2e\x91\xcf\x11/], ["Matroska or WebM", /^\x1a\x45\xdf\xa3/], ["AIFF", /^FORM[^]{4}AIF[FC]/], ["M4A or MP4", /^[^]{4}ftyp/],
  ["RIFF", /^(RIFF|RIFX|RF64|BW64)(?=[^]{0,7}[^ -~\n\r\t])/], // of a length, which a text has not
  ["MP3", /^ID3[\0-\x09]{2}[^][\0-\x7f]{4}/],
];

/** otherSound names the kind of sound, or film, of a file that is no WAV file, or "". @param {Uint8Array} b its first bytes */
function otherSound(b) {
  const text = String.fromCharCode(...b.subarray(0, 16));
  const kind = SOUNDS.find(([, magic]) => magic.test(text))?.[0];
  if (kind) return kind;
  // The frames of an MPEG stream: layer, bit rate and sample rate are such that there are.
  if (b.length > 2 && b[0] === 0xff && [0xe2, 0xe3, 0xf2, 0xf3, 0xfa, 0xfb].includes(b[1]) && b[2] >> 4 !== 0 && b[2] >> 4 !== 15 && ((b[2] >> 2) & 3) !== 3) return "MP3";
  return b.length > 6 && b[0] === 0xff && (b[1] === 0xf1 || b[1] === 0xf9) && ((b[2] >> 2) & 15) < 13 ? "AAC" : "";
}

/**
 * unfit says why a file is not taken for a text, which is no WAV file that is read; "" where it is taken.
 * @param {string} name
 * @param {Uint8Array} head its first bytes
 */
export function unfit(name, head) {
  const text = String.fromCharCode(...head.subarray(0, 16));
  const kind = otherSound(head);
  if (kind) return `${name} begins as a sound of another kind does, ${kind}: its bytes are no text: ${TO_WAV}`;
  if (SOUND_NAMES.test(name.trim())) return `${name} is called a sound, but is no WAV file: it does not begin with RIFF and WAVE: ${TO_WAV} (if it is a text, rename it)`;
  const wide = /^(\xff\xfe\0\0|\0\0\xfe\xff)/.test(text) ? "UTF-32" : /^(\xff\xfe|\xfe\xff)/.test(text) ? "UTF-16" : "";
  return wide && `${name} is in ${wide}: save it as UTF-8, as by iconv -f ${wide} -t UTF-8`;
}
