/** What the built files are, for the attribute `integrity`: the build puts them in. */
declare const DIGESTS: { more: string; tagged: string };
