/** The channel that events of a simulated Deribit are followed on: theirs alone, so that its frames can be counted. */
export const DERIBIT_CHANNEL = 'deribit.*.*.access.logged';
