package data

import "slices"

// plots are the kinds of story, in no order that matters.
var plots = slices.Concat(plotsAtHome, plotsOnTheWay, plotsOfWonder)

// plotsAtHome play among friends.
var plotsAtHome = []plot{
	{
		name: "lost", cast: anyone,
		paras: [][]line{
			{opening, {
				"{he} had a {treasure} that {he} loved more than anything.",
				"{his} {K} had given {him} a {treasure}, and {he} took it everywhere.",
				"{he} was very proud of {his} {treasure}.",
				"Of all {his} things, {A} liked {his} {treasure} best.",
			}, friend},
			{{
				"One {day}, the {treasure} was gone.",
				"One {day}, {A} could not find the {treasure} anywhere.",
				"But one {day}, {A} woke up and saw that the {treasure} was missing.",
			}, {
				"{A} looked {place}, but it was not there. Then {he} looked {place2}. It was not there either.",
				"{he} looked {place} and {place2}, but {he} found only [dust|an old shoe|a sleepy snail|a long feather].",
				"First {he} looked {place}. Then {he} looked {place2}. There was nothing.",
			}, {
				"{A} sat down and began to cry.", "{A} felt very sad.", "{A} did not know what to do.", "A tear rolled down {his} nose.",
			}},
			{{
				"\"Why are you so sad?\" asked {B}.", "\"What is the matter?\" asked {B}.", "Then {B} came by. \"What are you looking for?\" {bhe} asked.",
			}, {
				"\"I have lost my {treasure},\" said {A}.", "\"My {treasure} is gone,\" said {A}. \"I have looked everywhere.\"",
			}, {
				"\"Do not worry,\" said {B}. \"I will help you look.\"",
				"\"Four eyes see more than two,\" said {B}. \"Let us look together.\"",
				"\"Where did you play yesterday?\" asked {B}. \"We should start there.\"",
			}},
			{{
				"They walked slowly and looked at every stone. At last {B} stopped and pointed.",
				"They looked for a long time. Then {B} gave a happy shout.",
				"Together they went back along the path, step by step.",
			}, {
				"There was the {treasure}, {outside}!", "The {treasure} was {outside}, [safe and dry|covered with leaves|a little wet but not broken].",
				"And there it was, {outside}, just where {A} had left it.",
			}, {
				"\"Thank you!\" said {A}. \"I would never have found it alone.\"",
				"{A} was so happy that {he} danced in a circle.",
				"{A} gave {B} a big hug.",
			}, together, {
				"{A} had learned that a good friend is worth more than any {treasure}.",
				"After that, {A} always put the {treasure} back in its place.",
				"It is easier to find a thing when two are looking.",
				"A trouble that is shared is only half a trouble.",
			}},
		},
	},
	{
		name: "fear", cast: anyone,
		words: map[string][]string{
			"fear": {
				"the dark/the candle went out and the room turned black/\"The dark is only the day with its eyes closed,\" said {B}. \"Hold my {paw} and listen.\"/They heard the wind, the clock and a small cricket. Nothing else was there",
				"thunder/a great storm came over the hill/\"Count with me,\" said {B}. \"When we reach ten, the storm will be farther away.\"/They counted again and again, and each time the thunder was softer",
				"deep water/their ball rolled into the stream/\"We will go in together,\" said {B}. \"One small step, and then another.\"/The water was cool and only came up to their knees",
				"high places/they came to a narrow bridge/\"Do not look down,\" said {B}. \"Look at me, and walk.\"/One step came after another, and soon they stood on the other side",
				"the old dog at the mill/the dog came down the lane/\"Stand still and let it smell your {paw},\" said {B}. \"It is only lonely.\"/The old dog sniffed, wagged its tail and lay down at their feet",
				"the big black cave/their ball rolled right into the cave/\"I will carry the lamp, and you will carry the stick,\" said {B}./Inside they found only soft moss and a family of sleeping bats",
			},
		},
		paras: [][]line{
			{opening, habit, {
				"But there was one thing that {A} did not like at all. {he} was afraid of {fear.0}.",
				"{A} was not afraid of spiders or of the cold, but {he} was afraid of {fear.0}.",
				"Everyone thought that {A} was brave, but in secret {he} was afraid of {fear.0}.",
			}},
			{{
				"One evening, {A} was playing with {his} friend {B} when {fear.1}.",
				"One day, {his} friend {B} came to visit. They were having fun when {fear.1}.",
				"{A} had a friend named {B}. They were talking and laughing together when {fear.1}.",
			}, {
				"{A} began to shake.", "{A} hid behind {B}.", "{A} wanted to run away.", "{A} shut {his} eyes and did not move.",
			}, {
				"\"I am afraid,\" {he} said in a small voice.", "\"I cannot do this,\" {he} whispered.", "\"Please do not laugh at me,\" {he} said. \"I am scared.\"",
			}},
			{{
				"{B} did not laugh.", "{B} sat down beside {him}.", "\"Everyone is afraid of something,\" said {B}. \"I am afraid of [geese|big spiders|my aunt's old clock].\"",
			}, {"{fear.2}"}, {
				"{A} took a deep breath.", "{A} nodded slowly.", "{A}'s heart was beating fast, but {he} did it.",
			}, {"{fear.3}."}},
			{{
				"\"Is that all?\" asked {A}, and {he} began to laugh.", "\"I did it!\" cried {A}.", "{A} opened {his} eyes wide. It was not so bad after all.",
			}, together, {
				"To be brave does not mean that you are never afraid. It means that you try.",
				"After that day, {A} was still a little afraid of {fear.0}, but only a little.",
				"{A} learned that fear grows small when a friend is near.",
				"And when {B} was afraid one day, {A} knew just what to say.",
			}},
		},
	},
	{
		name: "sharing", cast: anyone,
		paras: [][]line{
			{opening, habit, {
				"One {day}, {his} {K} gave {him} {food} to take along.",
				"One {day}, {A} made {food} all by {himself}.",
				"One {day}, {A} got {food} as a present.",
			}, {
				"It smelled so good that {he} could hardly wait.", "\"I will eat it all,\" {he} thought, \"every last bit.\"", "{he} carried it carefully to {his} favorite tree.",
			}},
			{{
				"On the way, {he} met {B}, a {bkind} with a sad face.", "There sat a {bkind} named {B}, all alone.", "Just then a {trait2} {bkind} came along the path. {bhis} name was {B}.",
			}, {
				"\"What is wrong?\" asked {A}. \"I have had nothing to eat today,\" said {B}.",
				"\"Are you all right?\" asked {A}. \"I am only hungry,\" said {B}, and looked at the ground.",
				"\"That smells wonderful,\" said {B} shyly. \"My own basket is empty.\"",
			}, {
				"{A} looked at {his} food. There was not very much of it. Then {he} looked at {B}.",
				"{A} thought for a moment. {he} was hungry too.",
				"At first {A} wanted to walk on. But then {he} stopped.",
			}, {
				"\"Sit down,\" {he} said. \"There is enough for two.\"", "\"Here,\" said {A}, \"half of it is yours.\"", "\"Let us eat together,\" {he} said. \"It tastes better that way.\"",
			}},
			{{
				"They ate and talked until nothing was left.", "They sat in the sun and ate every crumb.", "{B} ate slowly and smiled at every bite.",
			}, {
				"Some days later, {A} fell and hurt {his} foot. It was {B} who helped {him} home.",
				"A week later, it rained and rained, and water came through the roof over {his} bed. It was {B} who came and mended it.",
				"When winter came, {A} had no wood for the fire. One morning a great pile of wood lay before the door, and beside it stood {B}.",
				"The next day, {B} came back with a basket full of {snack}. \"Now it is my turn,\" {bhe} said.",
			}, {
				"\"You shared with me,\" said {B}. \"I did not forget.\"", "\"That is what friends do,\" said {B}.", "\"Thank you,\" said {A}. \"You are very kind.\"",
			}, {
				"What you give away comes back to you.", "{A} never ate alone again.", "A small kindness can be the start of a long friendship.", "{A} learned that half a cake with a friend is better than a whole cake alone.",
			}},
		},
	},
	{
		name: "building", cast: anyone,
		words: map[string][]string{
			"work": {
				"a raft/floated/sank/the ropes were too loose/strong knots/across the pond",
				"a kite/flew/fell to the ground/the tail was too short/a longer tail/above the tallest tree",
				"a little boat/sailed/tipped over/the mast was too tall/a shorter mast/down the stream",
				"a tree house/stood/fell down/the wood was too thin/thicker branches/high above the ground",
				"a cart with four wheels/rolled/fell apart/the wheels were not round/rounder wheels/all the way down the hill",
				"a wall of stones/held/fell over/the big stones were on top/big stones below and small ones above/even when the wind was strong",
			},
		},
		paras: [][]line{
			{opening, {
				"{A} wanted to build {work.0}.", "For a long time, {A} had dreamed of building {work.0}.", "One {day}, {A} had an idea. \"I will build {work.0},\" {he} said.",
			}, {
				"{he} found [wood and string|some old boards|sticks, nails and rope] and worked all morning.",
				"{he} worked from breakfast until lunch and did not rest once.",
				"{he} drew a plan and began at once.",
			}},
			{{
				"But when it was ready, it {work.2}.", "At last it was done. But what a pity! It {work.2}.", "{he} took one step back to look at it, and it {work.2}.",
			}, {
				"\"It is no use,\" said {A}. \"I will never try again.\"", "{A} was so angry that {he} kicked a stone.", "{A} sat down with {his} head between {his} {paw}s.", "{A} tried again, and again it {work.2}.",
			}},
			{{
				"{his} friend {B} had seen it all.", "Then {B}, who lived nearby, came to look.", "Just then {his} friend {B} came along.",
			}, {
				"\"That was a good try,\" said {B}. \"Look here. I think that {work.3}.\"",
				"\"May I see?\" asked {B}. {bhe} looked at it from all sides. \"I see! I think that {work.3}.\"",
				"\"Do not give up,\" said {B}. \"My {K} always says that the first one is for learning. Maybe {work.3}.\"",
			}, {
				"\"You are right,\" said {A}. \"We need {work.4}.\"", "{A} looked again. \"So we need {work.4},\" {he} said.", "\"Then let us try {work.4},\" said {A}.",
			}},
			{{
				"They worked side by side until the sun was low.", "{A} held the pieces, and {B} put them together.", "This time they did not hurry.",
			}, {
				"And this time, it {work.1}! It {work.1} {work.5}.", "Then they held their breath. It {work.1} {work.5}!", "It {work.1} {work.5}, and the two friends cheered.",
			}, together, {
				"{A} learned that a mistake is a kind of teacher.", "Try, look and try again: that is how good things are made.", "Two heads are better than one.", "{A} kept one piece of the first try, to remember how it began.",
			}},
		},
	},
	{
		name: "rescue", cast: anyone,
		words: map[string][]string{
			"baby": {
				"bird/had fallen from its nest/put it back into the nest/its mother sang the whole evening",
				"kitten/sat high in a tree and could not come down/climbed up and carried it down/it purred like a little drum",
				"turtle/lay on its back and could not turn over/turned it over with great care/it walked slowly to the water and looked back once",
				"duckling/was caught in the reeds/bent the reeds apart/it swam to its family as fast as it could",
				"lamb/was stuck in the thorns/pulled the thorns away one by one/it jumped around them three times",
				"owl/sat on the ground with a hurt wing/made it a bed of soft moss and fed it for a week/it flew in a circle above the roof",
				"frog/was trapped in a deep bucket/laid the bucket on its side/it made one great leap into the pond",
			},
		},
		paras: [][]line{
			{opening, habit, friend},
			{{
				"One {day}, {A} and {B} were walking [in the wood|by the water|across the fields] when they heard a soft cry.",
				"One {day}, {A} heard a tiny sound. \"Did you hear that?\" {he} asked {B}.",
				"One {day}, {A} and {B} were on their way home. Suddenly {A} stopped. \"Listen!\" {he} said.",
			}, {
				"It was a baby {baby.0}. It {baby.1}.", "They looked around and saw a baby {baby.0} that {baby.1}.", "There was a baby {baby.0}! It {baby.1}.",
			}, {
				"\"Oh, you poor thing,\" said {A}.", "\"It is all alone,\" said {B}.", "\"It looks so afraid,\" said {B}.",
			}, {
				"\"We must help it,\" said {A}.", "\"We cannot leave it here,\" said {A}.", "\"What can we do?\" asked {B}. {A} thought hard.",
			}},
			{{
				"{B} talked to it softly so that it would not be afraid.", "{B} kept very still and watched for danger.", "They came closer, step by step.",
			}, {
				"Then {A} {baby.2}.", "{A} was very gentle. {he} {baby.2}.", "With the help of {B}, {A} {baby.2}.",
			}, {
				"The {baby.0} was safe, and {baby.3}.", "How happy the little {baby.0} was! You could see it, for {baby.3}.", "Soon it was well again, and {baby.3}.",
			}},
			{{
				"\"I think it said thank you,\" said {B}.", "\"Good luck, little friend,\" said {A}.", "\"Will we see it again?\" asked {B}. \"I hope so,\" said {A}.",
			}, evening, {
				"The next spring, the {baby.0} came back to visit, bigger than before, and {A} knew at once who it was.",
				"Nobody is too small to help.",
				"{A} learned that gentle {paw}s can do great things.",
				"From then on, {A} always listened for small voices.",
			}},
		},
	},
	{
		name: "quarrel", cast: anyone,
		paras: [][]line{
			{opening, friend, {
				"They never had a quarrel, until one {day}.", "But one {day}, something went wrong.", "One {day}, however, there was trouble.",
			}},
			{{
				"They had found a {treasure} {outside}. \"I saw it first!\" said {A}. \"No, I did!\" said {B}.",
				"Both of them wanted to play with the {treasure}. \"It is my turn,\" said {A}. \"You always say that!\" said {B}.",
				"{A} had a new {treasure}, and {B} wanted to hold it. \"No,\" said {A}, \"it is mine.\"",
			}, {
				"They pulled and pulled, and the {treasure} fell into the mud.", "{A} pulled on one side and {B} pulled on the other. The {treasure} almost broke in two.", "\"Then I will go home,\" said {B}, and {bhe} walked away without looking back.",
			}, {
				"\"I will never play with you again!\" cried {A}.", "Both of them were very angry.", "Nobody said a kind word.",
			}},
			{{
				"The next day, {A} was alone.", "All the next day, {A} stayed at home.", "{A} sat at the window and looked out.",
			}, {
				"{he} tried to play, but it was no fun.", "The house was quiet. Even the {snack} did not taste good.", "{he} thought about {B} all the time.",
			}, {
				"\"What is a {treasure} without a friend?\" {he} thought.", "\"I miss {B},\" {he} told {his} {K}. \"Then you should tell {bhim},\" said {his} {K}.",
				"{his} {K} sat down beside {him}. \"The one who says sorry first is the strong one,\" {khe} said.",
			}},
			{{
				"So {A} ran to {B}'s house and knocked.", "{A} put on {his} coat and went out. Halfway there, {he} met {B}, who was coming to see {him}.", "So {A} took some {snack2} and went to find {B}.",
			}, {
				"\"I am sorry,\" said {A}. \"So am I,\" said {B}.", "\"I was wrong,\" said {A}. \"Will you be my friend again?\" \"I never stopped,\" said {B}.", "\"I am sorry that I shouted,\" said {A}. {B} smiled. \"I shouted too,\" {bhe} said.",
			}, {
				"After that, they took turns. {A} had the {treasure} in the morning, and {B} had it in the afternoon.", "They cleaned the {treasure} together and put it where both could reach it.", "Together they cleaned it, and it looked as good as new.",
			}, {
				"It is good to win, but it is better to have a friend.", "A kind word is the best glue.", "They had many other quarrels in their lives, but never a long one.", "It takes only one small word to end a big quarrel.",
			}},
		},
	},
}
