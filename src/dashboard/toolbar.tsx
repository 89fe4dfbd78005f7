import type { RefObject } from 'preact';
import { type Filter, isFiltering, NO_FILTER, STATUSES, toggled } from './filter.js';
import { LevelIcon } from './icons.js';
import type { Counts } from './order.js';
import { LEVEL_WORDS, LEVELS_WORST_FIRST } from './reasons.js';
import { counted } from './times.js';

export interface ToolbarProps {
  readonly filter: Filter;
  readonly counts: Counts;
  readonly venues: readonly string[];
  readonly shown: number;
  readonly total: number;
  readonly search: RefObject<HTMLInputElement | null>;
  readonly onFilter: (filter: Filter) => void;
}

/** Counts by level, which filter, and the other filters. */
export function Toolbar({ filter, counts, venues, shown, total, search, onFilter }: ToolbarProps) {
  return (
    <search class="toolbar" aria-label="Filter">
      <fieldset class="levels" aria-label="Safety">
        {LEVELS_WORST_FIRST.map((level) => (
          <button
            key={level}
            type="button"
            class="level"
            data-level={level}
            data-none={counts[level] === 0}
            aria-pressed={filter.levels.has(level)}
            onClick={() => onFilter({ ...filter, levels: toggled(filter.levels, level) })}
          >
            <LevelIcon level={level} />
            <span>{LEVEL_WORDS[level]}</span> <strong>{counts[level]}</strong>
          </button>
        ))}
      </fieldset>
      <label class="inline">
        <span>Venue</span>
        <select value={filter.venue} onChange={(event) => onFilter({ ...filter, venue: event.currentTarget.value })}>
          <option value="">all</option>
          {venues.map((venue) => (
            <option key={venue} value={venue}>
              {venue}
            </option>
          ))}
        </select>
      </label>
      <label class="inline">
        <span>State</span>
        <select
          value={filter.status}
          onChange={(event) => {
            const chosen = event.currentTarget.value;
            onFilter({ ...filter, status: STATUSES.find((status) => status === chosen) ?? '' });
          }}
        >
          <option value="">all</option>
          {STATUSES.map((status) => (
            <option key={status} value={status}>
              {status}
            </option>
          ))}
        </select>
      </label>
      <label class="inline grow">
        <span>
          Text <kbd>/</kbd>
        </span>
        <input
          ref={search}
          type="search"
          spellcheck={false}
          autocomplete="off"
          placeholder="name, reason, attribute"
          value={filter.text}
          onInput={(event) => onFilter({ ...filter, text: event.currentTarget.value })}
        />
      </label>
      <button type="button" class="quiet" disabled={!isFiltering(filter)} onClick={() => onFilter(NO_FILTER)}>
        Clear
      </button>
      <output class="sub">
        {isFiltering(filter) ? `${shown} of ${counted(total, 'session')}` : counted(total, 'session')}
      </output>
    </search>
  );
}
